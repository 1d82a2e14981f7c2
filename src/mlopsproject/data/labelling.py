"""From a file's path to its class and source split: class folders at any depth, with split folders or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from mlopsproject.core.classes import KNOWN, canonical_class, resolve_classes
from mlopsproject.core.errors import DataError, nearest

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
    """What a path says: a class and a source split, or (with `reason`) why the file is left out."""

    label: str = ""
    source_split: str = ""
    reason: str = ""
    detail: str = ""


_SYSTEM = Labelled(reason="hidden_or_system", detail="hidden or system file")


def own_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """List the names in `classes` that no alias table knows, such as a team's own expressions."""
    return tuple(name for name in resolve_classes(classes) if canonical_class(name) is None)


def unknown_class(name: str, where: str, own: Iterable[str] = ()) -> DataError:
    """Build the error for a folder or label that names no known class."""
    known = (*KNOWN, *own)
    hint = nearest(name.lower(), known)
    fix = f"Known (in their usual spellings): {', '.join(known)}. Rename it, or import with classes=[...] naming it."
    return DataError(f"Unknown class {name!r} ({where}){'; ' + hint if hint else '.'}", fix)


def label_path(path: str, own: Sequence[str] = ()) -> Labelled:
    """Read class and source split off a file's path.

    The deepest folder that names a class is the class; the deepest folder that names a split is the split.

    Args:
        path: POSIX path relative to the source.
        own: class names known besides the usual ones.

    Raises:
        DataError: a picture lies in folders of which none names a known class.
    """
    folder, _, name = path.rpartition("/")
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return _SYSTEM
    found = _label_folder(folder, tuple(own))
    if found.reason == "no_class_folder" and found.detail and name.lower().endswith(_IMAGE_SUFFIXES):
        raise unknown_class(found.detail, f"folder of {path}", own)
    return found._replace(detail="lies in no class folder") if found.reason == "no_class_folder" else found


@lru_cache(maxsize=4096)
def _label_folder(folder: str, own: tuple[str, ...]) -> Labelled:
    """Label a folder; when it names no class, `detail` holds the name that should have, if any."""
    parts = folder.split("/") if folder else []
    if any(part.startswith(".") or part.lower() in _SYSTEM_FILES for part in parts):
        return _SYSTEM
    label = next((found for part in reversed(parts) if (found := canonical_class(part, own))), None)
    split = next((found for part in reversed(parts) if (found := SPLIT_NAMES.get(part.strip().lower()))), "")
    if label is not None:
        return Labelled(label=label, source_split=split)
    candidates = [part for part in parts if part.strip().lower() not in SPLIT_NAMES]
    return Labelled(reason="no_class_folder", detail=candidates[-1] if candidates else "")
