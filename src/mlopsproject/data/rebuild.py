"""Build the cache of an imported data set at another size, from its source."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.core.errors import DataError
from mlopsproject.core.files import is_disk_full
from mlopsproject.core.preprocess import MIN_JPEG_SIDE
from mlopsproject.data import cache
from mlopsproject.data.examine import ExamineOptions
from mlopsproject.data.manifest import CACHE_FOLDER
from mlopsproject.data.originals import open_origin
from mlopsproject.data.pipeline import examine_all, worker_count
from mlopsproject.data.progress import progress_bar
from mlopsproject.data.sources import Source
from mlopsproject.data.staging import disk_full

logger = logging.getLogger(__name__)
_SLICE = 65536


def cached_images(
    folder: Path,
    info: dict[str, Any],
    manifest: pa.Table,
    key: cache.CacheKey,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> NDArray[np.uint8]:
    """Open the cache for `key`; build it from the source first if there is none.

    Args:
        folder: `data/<name>`.
        info: its `import.json`.
        manifest: its manifest.
        key: size, channels and filter wanted.
        workers: processes for building; ``None`` for one per core.
        progress: show a progress bar while building.

    Returns:
        uint8 `[N, C, H, W]`, one per manifest row, mapped from disk.

    Raises:
        DataError: the cache is damaged, or what `build_cache` raises.
    """
    path = folder / CACHE_FOLDER / key.file_name
    if not path.exists():
        build_cache(folder, info, manifest, key, workers=workers, progress=progress)
    return cache.open_cache(path, key.shape(manifest.num_rows))


def build_cache(
    folder: Path, info: dict[str, Any], manifest: pa.Table, key: cache.CacheKey, *, workers: int | None, progress: bool
) -> Path:
    """Decode every image of the manifest again and write the cache for `key`.

    Args:
        folder: `data/<name>`.
        info: its `import.json`.
        manifest: its manifest.
        key: size, channels and filter wanted.
        workers: processes; ``None`` for one per core.
        progress: show a progress bar.

    Returns:
        The cache file.

    Raises:
        DataError: the source is gone or has changed since the import, or the disk is full.
    """
    path = folder / CACHE_FOLDER / key.file_name
    path.parent.mkdir(exist_ok=True)
    logger.info("Building %s from %s", path, info["source"]["given"])
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        _write_pixels(part, info, manifest, key, worker_count(workers, info["files"]), progress)
        cache.seal(part, key.shape(manifest.num_rows))
        cache.move(part, path)
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(folder) from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_pixels(
    part: Path, info: dict[str, Any], manifest: pa.Table, key: cache.CacheKey, workers: int, progress: bool
) -> None:
    source = _open_source(info, key)
    options = ExamineOptions(
        key.size, key.channels, key.resize_filter, info["options"]["min_size"], info["options"]["max_pixels"]
    )
    # Large JPEGs are decoded at full scale for sizes beyond this one, which gives other pixels than the import saw.
    comparable = max(key.size, info["options"]["size"]) <= MIN_JPEG_SIDE
    expected = _expected(manifest)
    results = examine_all(source.items(), options, workers=workers)
    with part.open("wb") as file, progress_bar(progress) as bar, closing(results):
        task = bar.add_task(f"Building the cache at {key.size} px", total=info["files"])
        file.write(bytes(cache.HEADER_BYTES))
        for examined in results:
            for row in examined.rows:
                path, pixel_hash = next(expected, ("", ""))
                if row.path != path or (comparable and row.pixel_hash.hex() != pixel_hash):
                    raise _changed(info, row.path)
            file.write(examined.inputs.tobytes())
            bar.advance(task, len(examined.rows) + len(examined.excluded))
        if (left := next(expected, None)) is not None:
            raise _changed(info, left[0])
        file.flush()
        os.fsync(file.fileno())


def _open_source(info: dict[str, Any], key: cache.CacheKey) -> Source:
    try:
        return open_origin(info)
    except DataError as error:
        raise DataError(
            f"Data set {info['name']!r} has no cache at {key.size} px with {key.channels} channel(s), "
            f"and its source is gone: {error.message}",
            f"Put the source back, or use the imported size={info['options']['size']} "
            f"and channels={info['options']['channels']}.",
        ) from error


def _expected(manifest: pa.Table) -> Iterator[tuple[str, str]]:
    for start in range(0, manifest.num_rows, _SLICE):
        part = manifest.slice(start, _SLICE)
        yield from zip(part.column("path").to_pylist(), part.column("pixel_hash").to_pylist(), strict=True)


def _changed(info: dict[str, Any], path: str) -> DataError:
    return DataError(
        f"The source {info['source']['location']} has changed since the import (at {path}).",
        f"Import it again under name={info['name']}.",
    )
