"""Import a source: check, hash, group, split and cache every image; put the data set in place only when complete."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlopsproject.core.errors import ConfigError, DataError, nearest
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data import cache
from mlopsproject.data.assemble import CONFLICT_POLICIES, assemble_manifest
from mlopsproject.data.examine import ExamineOptions
from mlopsproject.data.labelling import own_classes
from mlopsproject.data.manifest import (
    CACHE_FOLDER,
    EXCLUDED_FILE,
    FORMAT,
    IMPORT_FILE,
    MANIFEST_FILE,
    fingerprint,
    write_manifest,
)
from mlopsproject.data.pipeline import chunk_sizes, examine_all, worker_count
from mlopsproject.data.progress import progress_bar
from mlopsproject.data.sources import Scan, Source, open_source
from mlopsproject.data.splits import SPLIT_METHODS
from mlopsproject.data.staging import EXCLUDED, PIXELS, Staging, disk_full, is_disk_full

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportResult:
    """What an import did.

    Attributes:
        folder: the data set, `root/name`.
        info: the content of `import.json`: `files`, `rows`, `excluded` (by reason), `splits` (class counts per split),
            `twins`, `conflicts`, `fingerprint`, the options, seconds and more.
    """

    folder: Path
    info: dict[str, Any]


def import_dataset(
    source: str | Path,
    name: str,
    *,
    root: Path = Path("data"),
    split: str = "grouped",
    classes: str | Sequence[str] = "seven",
    min_size: int = 16,
    conflicts: str = "drop",
    seed: int = 42,
    workers: int | None = None,
    size: int = 64,
    channels: int = 1,
    resize_filter: ResizeFilter = "bilinear",
    progress: bool = True,
) -> ImportResult:
    """Turn a source into the data set `root/name`: manifest, list of excluded files, cache.

    Every file ends up as one manifest row or one line of `excluded.csv`. An interrupted import continues where it
    stopped when the same call is made again; a data set of the same name is replaced only once the new one is complete.

    Args:
        source: a folder, a zip or tar archive, a FER2013 CSV, or `kaggle:owner/slug`.
        name: of the data set.
        root: where data sets live.
        split: `grouped` (80/10/10, twins never straddle) or `official` (as published).
        classes: a preset, or a list that may name further classes of your own; all known classes are imported anyway.
        min_size: pictures with a shorter side below this many pixels are excluded.
        conflicts: what to do with exact duplicates under different labels, in training only: `drop` all of them,
            `keep` them, or keep those under the `majority` label. Dropped ones stay in the manifest, with an empty
            split.
        seed: of the split.
        workers: processes; ``None`` for one per core.
        size: side of the cached pictures in pixels, 8-1024.
        channels: 1 or 3, of the cached pictures.
        resize_filter: Pillow's filter by name.
        progress: show a progress bar.

    Raises:
        ConfigError: an unknown option value.
        DataError: nothing to import, an unknown class folder, a damaged archive, a full disk.
    """
    _check_options(name, split, conflicts, size, channels)
    started = time.monotonic()
    opened = open_source(source, own_classes(classes))
    scan = opened.scan()
    options = ExamineOptions(size, channels, resize_filter, min_size)
    folder = root / name
    # Work can be continued only where everything that shaped it is the same.
    key = {"format": FORMAT, "source": scan.fingerprint, "own": list(opened.own), **asdict(options), **chunk_sizes()}
    staging = Staging(root / f".{name}.importing", key)
    try:
        _require_space(root, scan, staging.files, options)
        _examine_source(opened, scan, options, staging, worker_count(workers, scan.files), progress)
        manifest, facts = assemble_manifest(staging, split, conflicts, seed)
        info = {
            "format": FORMAT,
            "name": name,
            "source": {"given": opened.given, "location": str(opened.location), "fingerprint": scan.fingerprint},
            "options": {
                **asdict(options),
                "own_classes": list(opened.own),
                "split": split,
                "conflicts": conflicts,
                "seed": seed,
            },
            "files": scan.files,
            "rows": staging.rows,
            "fingerprint": fingerprint(manifest),
            **facts,
            "seconds": round(time.monotonic() - started, 1),
        }
        _put_in_place(staging, manifest, info, options, folder)
    except OSError as error:
        if not is_disk_full(error):
            staging.close()
            raise
        staging.discard()
        raise disk_full(root) from error
    except BaseException:
        staging.close()
        raise
    logger.info("Imported %d of %d files into %s", info["rows"], info["files"], folder)
    return ImportResult(folder, info)


def _check_options(name: str, split: str, conflicts: str, size: int, channels: int) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(
            f"name={name!r} cannot name a data set.", "Use letters, digits, dots, dashes and underscores."
        )
    for key, value, known in (("split", split, SPLIT_METHODS), ("conflicts", conflicts, CONFLICT_POLICIES)):
        if value not in known:
            hint = nearest(value, known)
            raise ConfigError(
                f"{key}={value!r} is unknown{'; ' + hint if hint else '.'}", f"Known: {', '.join(known)}."
            )
    if channels not in (1, 3):
        raise ConfigError(f"channels={channels} is not possible.", "Use 1 (gray) or 3 (RGB).")
    if not 8 <= size <= 1024:
        raise ConfigError(f"size={size} is not possible.", "Use 8 to 1024 pixels.")


def _examine_source(
    source: Source, scan: Scan, options: ExamineOptions, staging: Staging, workers: int, progress: bool
) -> None:
    """Run every item that an earlier run has not done through the workers into the staging files."""
    if staging.files:
        logger.info("Continuing an interrupted import after %d of %d files", staging.files, scan.files)
    results = examine_all(source.items(), options, workers=workers, skip=staging.chunks)
    with progress_bar(progress) as bar, closing(results):
        task = bar.add_task("Importing", total=scan.files, completed=staging.files)
        try:
            for examined in results:
                staging.append(examined)
                bar.update(task, completed=staging.files)
        except KeyboardInterrupt:
            staging.save()
            raise
    staging.save()
    if staging.files != scan.files:
        raise DataError(
            f"{source.location} changed during the import ({scan.files} files at first, {staging.files} in the end).",
            "Import again when nothing writes to it.",
        )
    if not staging.rows:
        raise DataError(
            f"None of the {scan.files} files of {source.location} is a usable picture.",
            f"Reasons are listed in {staging.folder / EXCLUDED}.",
        )


def _put_in_place(
    staging: Staging, manifest: pa.Table, info: dict[str, Any], options: ExamineOptions, folder: Path
) -> None:
    """Complete the data set inside the staging folder, then swap it in with renames."""
    complete = staging.folder / "complete"
    shutil.rmtree(complete, ignore_errors=True)
    (complete / CACHE_FOLDER).mkdir(parents=True)
    key = cache.CacheKey(info["fingerprint"], options.size, options.channels, options.resize_filter)
    cached = complete / CACHE_FOLDER / key.file_name
    write_manifest(manifest, complete / MANIFEST_FILE)
    # A hard link: should this fail half-way, the staging files are still whole for the next attempt.
    os.link(staging.folder / PIXELS, cached)
    cache.seal(cached, key.shape(staging.rows))
    shutil.copyfile(staging.folder / EXCLUDED, complete / EXCLUDED_FILE)
    (complete / IMPORT_FILE).write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    for path in complete.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    replaced = staging.folder / "replaced"
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.replace(replaced)
    complete.replace(folder)
    staging.discard()


def _require_space(root: Path, scan: Scan, done: int, options: ExamineOptions) -> None:
    per_file = options.channels * options.size**2 + 1024 + 256
    needed = (scan.files - done) * per_file
    free = shutil.disk_usage(root).free
    if needed > free:
        raise disk_full(root, f" (about {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free)")
