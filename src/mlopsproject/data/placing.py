"""The last step of an import: complete the data set beside its place, swap it in, and undo a swap that was cut off."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from mlopsproject.core.errors import DataError
from mlopsproject.core.files import put_back, swap_in, sync
from mlopsproject.data import cache
from mlopsproject.data.manifest import CACHE_FOLDER, EXCLUDED_FILE, IMPORT_FILE, MANIFEST_FILE, write_manifest
from mlopsproject.data.staging import EXCLUDED, PIXELS, Staging, lock

_REPLACED: Final = "replaced"


def work_folder(folder: Path) -> Path:
    """Say where an import of the data set `folder` works."""
    return folder.parent / f".{folder.name}.importing"


def check_place(folder: Path, source: Path) -> None:
    """Check that nothing but a data set is replaced: pictures are often kept where their data set would go.

    Args:
        folder: the place of the data set.
        source: of its pictures.

    Raises:
        DataError: the place is taken by something else, or holds the source.
    """
    if folder.exists() and source.resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"The data set would take the place of its own source, {folder}.", "Choose another name= or root=."
        )
    if folder.exists() and not (folder / IMPORT_FILE).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} is there already and is no data set.", "Move it, or choose another name= or root=.")


def install_dataset(staging: Staging, manifest: pa.Table, info: dict[str, Any], folder: Path) -> None:
    """Complete the data set inside the staging folder, then swap it in with renames.

    Args:
        staging: the finished import; it is deleted in the end.
        manifest: of the new data set.
        info: its `import.json`.
        folder: its place; a data set that is there already is replaced.
    """
    complete = staging.folder / "complete"
    shutil.rmtree(complete, ignore_errors=True)
    (complete / CACHE_FOLDER).mkdir(parents=True)
    options = info["options"]
    key = cache.CacheKey(info["fingerprint"], options["size"], options["channels"], options["resize_filter"])
    cached = complete / CACHE_FOLDER / key.file_name
    write_manifest(manifest, complete / MANIFEST_FILE)
    _link_or_copy(staging.folder / PIXELS, cached)
    cache.seal(cached, key.shape(staging.rows))
    shutil.copyfile(staging.folder / EXCLUDED, complete / EXCLUDED_FILE)
    (complete / IMPORT_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    for path in complete.rglob("*"):
        sync(path)
    replaced = staging.folder / _REPLACED
    shutil.rmtree(replaced, ignore_errors=True)
    swap_in(complete, folder, replaced)
    staging.discard()


def restore_replaced(folder: Path) -> None:
    """Put the old data set back if an import was killed after setting it aside and before its own was in place."""
    work = work_folder(folder)
    # A running import is about to fill the gap itself.
    with contextlib.suppress(DataError):
        if not folder.exists() and (work / _REPLACED / IMPORT_FILE).is_file():
            with lock(work):
                put_back(work / _REPLACED, folder)


def _link_or_copy(pixels: Path, cached: Path) -> None:
    """Take the pixels over by a hard link: should this fail half-way, they are whole for the next attempt."""
    try:
        os.link(pixels, cached)
    except OSError:  # FAT, exFAT and many network file systems have no hard links
        shutil.copyfile(pixels, cached)
