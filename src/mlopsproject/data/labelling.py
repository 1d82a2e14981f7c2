"""From what a source calls a picture to its class: names of folders at any depth, and labels of CSV rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import yaml

from mlopsproject.core.classes import KNOWN, canonical_class, normal_name, resolve_classes
from mlopsproject.core.errors import ConfigError, DataError, nearest

#: Folder or `Usage` names, lower case, that say which split an image was published in.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}

_SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin"}
_IMAGE_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)


#: What `Labels.class_of` answers for a label that `label_map` leaves out.
DROPPED: Final = ""
#: Before a name: `0_angry`, `02 happy`; a decimal such as `3.5` is none.
_NUMBER: Final = re.compile(r"[0-9]+[\s._-]+(?=[^0-9\s._-])")
#: Longest label that a message shows whole: a CSV may hold anything.
_SHOWN: Final = 60


class Labelled(NamedTuple):
    """What a path says: a class and a source split, or (with `reason`) why the file is left out.

    `found` is the folder that was taken for a label, as a source's `Item` has it.
    """

    label: str = ""
    source_split: str = ""
    reason: str = ""
    detail: str = ""
    found: tuple[str, ...] = ()


_SYSTEM = Labelled(reason="hidden_or_system", detail="hidden or system file")


@dataclass(frozen=True)
class Labels:
    """How the labels of a source are read.

    A label is known if it names a class in one of its usual spellings, one of `own`, or a key of `label_map`. A number
    before a name, as in `0_angry` or `02 happy`, is ignored unless the whole is known.

    Attributes:
        own: class names known besides the usual ones.
        label_map: pairs of a label, as `normal_name` spells it, and the class that it is read as, or ``None`` to leave
            its pictures out. A class stands for all of its spellings, a label as the source spells it goes first.
    """

    own: tuple[str, ...] = ()
    label_map: tuple[tuple[str, str | None], ...] = ()

    def class_of(self, found: Sequence[str]) -> str | None:
        """Say which class a label is.

        Args:
            found: the label as the source has it; several, if it goes by several names.

        Returns:
            The class, `DROPPED` for a label that is left out, or ``None`` for an unknown one.
        """
        keys = dict(self.label_map)
        for name in self.names_of(found) if keys else ():
            if name in keys:
                return keys[name] or DROPPED
        return next(self._classes(found), None)

    def names_of(self, found: Sequence[str]) -> list[str]:
        """Every key of `label_map` that would hold for a label; the first goes before the others."""
        return [*map(normal_name, _names(found)), *self._classes(found)]

    def unknown(self, name: str, where: str) -> DataError:
        """Build the error for a folder or label that names no known class."""
        known = (*KNOWN, *self.own)
        shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
        hint = nearest(_NUMBER.sub("", shown.lower(), count=1), known)
        fix = f"Known (in their usual spellings): {', '.join(known)}. "
        fix += "Rename it, read it as one of them with label_map={...}, or import with classes=[...] naming it."
        return DataError(f"Unknown class {shown!r} ({where}){'; ' + hint if hint else '.'}", fix)

    def _classes(self, found: Sequence[str]) -> Iterator[str]:
        return (name for each in _names(found) if (name := canonical_class(each, self.own)) is not None)


#: Those that are known without being told.
USUAL_LABELS: Final = Labels()


def _names(found: Sequence[str]) -> Iterator[str]:
    """Every name of a label, with and without a number before it."""
    for name in found:
        yield name
        yield _NUMBER.sub("", name.strip(), count=1)


def read_labels(classes: str | Sequence[str], label_map: Mapping[object, object] | str | None = None) -> Labels:
    """Check what an import is told about labels.

    Args:
        classes: a preset or a list, which may name classes of the user's own.
        label_map: labels and what to read them as: one of `classes`, or ``None`` to leave their pictures out; the same
            as YAML for names that a config override cannot hold.

    Raises:
        ConfigError: `label_map` is none, names a label twice, or names a class that is not one of `classes`.
    """
    own, chosen = own_classes(classes), resolve_classes(classes)
    pairs: dict[str, str | None] = {}
    for key, target in mapping_of(label_map, "label_map").items():
        name = normal_name(str(key))
        if name in pairs:
            raise ConfigError(f"label_map names {name!r} twice.")
        pairs[name] = None if target is None else canonical_class(str(target), own)
        if target is not None and pairs[name] not in chosen:
            hint = nearest(str(target), chosen)
            raise ConfigError(
                f"label_map reads {key!r} as {target!r}, which is not one of classes={list(chosen)}"
                f"{'; ' + hint if hint else '.'}",
                "Name it there, too, or give null to leave those pictures out.",
            )
    return Labels(own, tuple(pairs.items()))


def recorded_labels(options: Mapping[str, Any]) -> Labels:
    """How labels were read by an import that has been, from the options in its `import.json`."""
    return Labels(tuple(options["own_classes"]), tuple(options.get("label_map", {}).items()))


def mapping_of(given: Mapping[Any, Any] | str | None, key: str) -> Mapping[Any, Any]:
    """Read pairs of names, also written as YAML; ``None`` is no pairs.

    Args:
        given: the pairs.
        key: of the config, for the message.

    Raises:
        ConfigError: if it is something else.
    """
    read: object = given
    if isinstance(given, str):
        try:
            read = yaml.safe_load(given)
        except yaml.YAMLError:
            read = given
    if read is None:
        return {}
    if not isinstance(read, Mapping):
        raise ConfigError(f"{key}={given!r} is not possible.", f"Write '{key}={{smirk: happy, contempt: null}}'.")
    return read


def own_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """List the names in `classes` that no alias table knows, such as a team's own expressions."""
    return tuple(name for name in resolve_classes(classes) if canonical_class(name) is None)


def label_path(path: str, labels: Labels = USUAL_LABELS) -> Labelled:
    """Read class and source split off a file's path.

    The deepest folder that is a known label is the class; the deepest folder that names a split is the split.

    Args:
        path: POSIX path relative to the source.
        labels: which labels are known.

    Raises:
        DataError: a picture lies in folders of which none names a known class.
    """
    folder, _, name = path.rpartition("/")
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return _SYSTEM
    found = _label_folder(folder, labels)
    if found.reason == "no_class_folder" and found.detail and name.lower().endswith(_IMAGE_SUFFIXES):
        raise labels.unknown(found.detail, f"folder of {path}")
    return found._replace(detail="lies in no class folder") if found.reason == "no_class_folder" else found


@lru_cache(maxsize=4096)
def _label_folder(folder: str, labels: Labels) -> Labelled:
    """Label a folder; when it names no class, `detail` holds the name that should have, if any."""
    parts = folder.split("/") if folder else []
    if any(part.startswith(".") or part.lower() in _SYSTEM_FILES for part in parts):
        return _SYSTEM
    named = ((part, found) for part in reversed(parts) if (found := labels.class_of([part])) is not None)
    part, label = next(named, ("", None))
    split = next((found for part in reversed(parts) if (found := SPLIT_NAMES.get(part.strip().lower()))), "")
    if label == DROPPED:
        return Labelled(reason="dropped_label", detail=f"label_map leaves {part!r} out", found=(part,))
    if label is not None:
        return Labelled(label=label, source_split=split, found=(part,))
    candidates = [part for part in parts if part.strip().lower() not in SPLIT_NAMES]
    return Labelled(reason="no_class_folder", detail=candidates[-1] if candidates else "")
