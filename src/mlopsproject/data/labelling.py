"""From a file's path to its class and source split: class folders at any depth, with split folders or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from mlopsproject.core.classes import KNOWN, canonical_class, label_spellings, normal_label, resolve_classes
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


class Labelled(NamedTuple):
    """Class and source split of a path, or (with `reason`) why the file is left out; `mapped` as in `Item`."""

    label: str = ""
    source_split: str = ""
    reason: str = ""
    detail: str = ""
    mapped: str = ""


class ClassNames(NamedTuple):
    """Which names of folders and labels mean which class.

    Attributes:
        own: class names known besides the usual ones.
        label_map: pairs of a normalised name and its class; ``None`` leaves its pictures out.
    """

    own: tuple[str, ...] = ()
    label_map: tuple[tuple[str, str | None], ...] = ()

    def find(self, name: str) -> Labelled | None:
        """The class that a folder's name or a label means, without a split; ``None`` if it is unknown."""
        label, chosen = canonical_class(name, self.own), dict(self.label_map)
        for key in (*label_spellings(name), label):
            if key in chosen:
                return Labelled(chosen[key] or "", mapped=key, **({} if chosen[key] else _left_out(name)))
        return Labelled(label) if label is not None else None


def _left_out(name: str) -> dict[str, str]:
    return {"reason": "label_map", "detail": f"label_map leaves {name!r} out"}


#: No classes but the known ones.
USUAL_NAMES = ClassNames()
_SYSTEM = Labelled(reason="hidden_or_system", detail="hidden or system file")


def own_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """List the names in `classes` that no alias table knows, such as a team's own expressions."""
    return tuple(name for name in resolve_classes(classes) if canonical_class(name) is None)


def class_names(classes: str | Sequence[str], label_map: Mapping[str, str | None] | None = None) -> ClassNames:
    """Read an import's `classes` and `label_map`.

    Args:
        classes: a preset or a list, which may name classes of its own.
        label_map: class by name of a folder or label; ``None`` leaves the pictures out.

    Raises:
        ConfigError: for what is no mapping, or a class that is unknown.
    """
    own = own_classes(classes)
    given: object = {} if label_map is None else label_map
    if not isinstance(given, Mapping):
        raise ConfigError(f"label_map={given!r} is not possible.", "Write it label_map={smirk: happy, bored: null}.")
    pairs = []
    for name, target in given.items():
        label = None if target is None else canonical_class(str(target), own)
        if target is not None and label is None:
            known = (*KNOWN, *own)
            hint = nearest(str(target).lower(), known) or f"Known: {', '.join(known)}; or null to leave pictures out."
            raise ConfigError(f"label_map={{{name}: {target}}} names no class;", hint)
        pairs.append((normal_label(str(name)), label))
    return ClassNames(own, tuple(sorted(pairs)))


def unknown_class(name: str, where: str, names: ClassNames = USUAL_NAMES) -> DataError:
    """Build the error for a folder or label that names no known class."""
    known = (*KNOWN, *names.own)
    hint = nearest(name.lower(), known)
    fix = (
        f"Known (in their usual spellings): {', '.join(known)}. Rename it, import with classes=[...] naming it, or say "
        f"what it means with label_map={{{name}: ...}}."
    )
    return DataError(f"Unknown class {name!r} ({where}){'; ' + hint if hint else '.'}", fix)


def label_path(path: str, names: ClassNames = USUAL_NAMES) -> Labelled:
    """Read class and source split off a file's path.

    The deepest folder that names a class is the class; the deepest folder that names a split is the split.

    Args:
        path: POSIX path relative to the source.
        names: which of them mean which class.

    Raises:
        DataError: a picture lies in folders of which none names a known class.
    """
    folder, _, name = path.rpartition("/")
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return _SYSTEM
    found = _label_folder(folder, names)
    if found.reason == "no_class_folder" and found.detail and name.lower().endswith(_IMAGE_SUFFIXES):
        raise unknown_class(found.detail, f"folder of {path}", names)
    return found._replace(detail="lies in no class folder") if found.reason == "no_class_folder" else found


@lru_cache(maxsize=4096)
def _label_folder(folder: str, names: ClassNames) -> Labelled:
    """Label a folder; when it names no class, `detail` holds the name that should have, if any."""
    parts = folder.split("/") if folder else []
    if any(part.startswith(".") or part.lower() in _SYSTEM_FILES for part in parts):
        return _SYSTEM
    named = next((labelled for part in reversed(parts) if (labelled := names.find(part))), None)
    split = next((found for part in reversed(parts) if (found := SPLIT_NAMES.get(part.strip().lower()))), "")
    if named is not None:
        return named._replace(source_split=split)
    candidates = [part for part in parts if part.strip().lower() not in SPLIT_NAMES]
    return Labelled(reason="no_class_folder", detail=candidates[-1] if candidates else "")
