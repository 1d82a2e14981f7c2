"""Import a source: check, hash, group, split and cache every image; put the data set in place only when complete."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.files import is_disk_full
from mlopsproject.core.picture_limits import MAX_PIXELS
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data.assemble import assemble_manifest
from mlopsproject.data.duplicates import MIN_CORRELATION
from mlopsproject.data.examine import ExamineOptions
from mlopsproject.data.import_options import check_name, check_options
from mlopsproject.data.labelling import mapping_of, read_labels
from mlopsproject.data.limits import USUAL_LIMITS, Limits
from mlopsproject.data.manifest import FORMAT, column, fingerprint
from mlopsproject.data.merging import MergedSource
from mlopsproject.data.pipeline import chunk_sizes, examine_all, worker_count
from mlopsproject.data.placing import check_place, install_dataset, restore_replaced, work_folder
from mlopsproject.data.progress import progress_bar
from mlopsproject.data.sources import Scan, Source, open_source
from mlopsproject.data.staging import EXCLUDED, Staging, disk_full
from mlopsproject.data.votes import vote_facts, votes_of
from mlopsproject.data.votes_file import VotesFile, read_votes

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
    max_pixels: int = MAX_PIXELS,
    conflicts: str = "drop",
    twins: str = "hashes",
    twin_correlation: float = MIN_CORRELATION,
    seed: int = 42,
    workers: int | None = None,
    size: int = 64,
    channels: int = 1,
    resize_filter: ResizeFilter = "bilinear",
    label_map: Mapping[Any, Any] | str | None = None,
    votes: str | None = None,
    votes_map: Mapping[Any, Any] | str | None = None,
    max_files: int = USUAL_LIMITS.max_files,
    max_file_mb: int = USUAL_LIMITS.max_file_mb,
    max_total_mb: int = USUAL_LIMITS.max_total_mb,
    progress: bool = True,
) -> ImportResult:
    """Turn a source into the data set `root/name`: manifest, list of excluded files, cache.

    Every file ends up as one manifest row or one line of `excluded.csv`. An interrupted import continues where it
    stopped when the same call is made again; a data set of the same name is replaced only once the new one is complete.

    Args:
        source: a folder, a zip or tar archive, a FER2013 CSV, `kaggle:owner/slug`, or imported data sets as
            `merged:data/A+data/B`; then A's images keep their splits, and `split` counts for nothing.
        name: of the data set.
        root: where data sets live.
        split: `grouped` (80/10/10, twins never straddle) or `official` (as published).
        classes: a preset, or a list that may name further classes of your own; all known classes are imported anyway.
        min_size: pictures with a shorter side below this many pixels are excluded.
        max_pixels: pictures with more pixels are excluded.
        conflicts: what to do with exact duplicates under different labels, in training only: `drop` all of them,
            `keep` them, or keep those under the `majority` label. Dropped ones stay in the manifest, with an empty
            split.
        twins: how near twins are searched for: by `hashes`, at any number of pictures, or `all_pairs`, which finds some
            more and takes a minute for 100,000, the most it compares.
        twin_correlation: that the 32 x 32 thumbnails of near twins must reach, 0.8-1. At 0.95 twins are copies; down to
            0.92 other crops of the same photograph join them.
        seed: of the split.
        workers: processes; ``None`` for one per core.
        size: side of the cached pictures in pixels, 8-1024.
        channels: 1 or 3, of the cached pictures.
        resize_filter: Pillow's filter by name.
        label_map: labels of the source and what to read them as: one of `classes`, or ``None`` to leave their pictures
            out, as in ``{"smirk": "happy", "contempt": None}``; as YAML, too.
        votes: a CSV of what several raters said of each picture, see `votes_file.read_votes`.
        votes_map: columns of it and what to count them as: a class, or ``None`` to leave them out.
        max_files: files and CSV rows that the source may hold, with the folders of an archive.
        max_file_mb: megabytes that one file of an archive may unpack to.
        max_total_mb: megabytes that an archive may unpack to.
        progress: show a progress bar.

    Raises:
        ConfigError: an option value that is not possible.
        DataError: nothing to import, an unknown class folder, an archive that is damaged or too large, a place that is
            taken by something else, a full disk.
    """
    check_name(name)
    options = ExamineOptions(size, channels, resize_filter, min_size, max_pixels)
    drawing: dict[str, Any] = {"split": split, "conflicts": conflicts, "seed": seed}
    drawing |= {"twins": twins, "twin_correlation": twin_correlation}
    limits = Limits(max_files, max_file_mb, max_total_mb)
    check_options(**asdict(options), **drawing, **asdict(limits), workers=workers)
    labels = read_labels(classes, label_map)
    known = {"own_classes": list(labels.own), "label_map": dict(labels.label_map)}
    started = time.monotonic()
    folder = root / name
    restore_replaced(folder)
    opened = open_source(source, labels, limits)
    check_place(folder, opened.location)
    reading = {str(key): target for key, target in mapping_of(votes_map, "votes_map").items()}
    if reading and votes is None:
        raise ConfigError("votes_map= says how votes= is read, which is not given.", "Give votes=FILE.csv, too.")
    voted = read_votes(votes, labels, reading) if votes is not None else None
    voting = {"votes": votes, "votes_map": reading} if votes is not None else {}
    scan = opened.scan()
    said = _votes(opened, voted)
    # Work can be continued only where everything that shaped it is the same.
    key = {"format": FORMAT, "source": scan.fingerprint, **known, **asdict(options), **chunk_sizes()}
    staging = Staging(work_folder(folder), key)
    try:
        _require_space(root, scan, staging.files, options)
        _examine_source(opened, scan, options, staging, worker_count(workers, scan.files), progress)
        kept = opened.kept_splits() if isinstance(opened, MergedSource) else None
        manifest, facts = assemble_manifest(staging, **drawing, kept=kept, votes=said)
        info = {
            "format": FORMAT,
            "name": name,
            "source": {"given": opened.given, "location": str(opened.location), "fingerprint": scan.fingerprint},
            "options": {**asdict(options), **known, **drawing, **asdict(limits), **voting},
            "files": scan.files,
            "rows": staging.rows,
            "fingerprint": fingerprint(manifest),
            **facts,
            "votes": _vote_facts(manifest, voted),
            "seconds": round(time.monotonic() - started, 1),
        }
        install_dataset(staging, manifest, info, folder)
    except BaseException as error:
        staging.leave()
        if is_disk_full(error):
            raise disk_full(root) from error
        raise
    logger.info("Imported %d of %d files into %s", info["rows"], info["files"], folder)
    return ImportResult(folder, info)


def _votes(source: Source, file: VotesFile | None) -> dict[str, str]:
    """The votes on each file of a source, by path, as JSON."""
    if isinstance(source, MergedSource):
        if file is not None:
            raise ConfigError("votes= is not possible with merged data sets.", "Give it when each is imported.")
        return source.kept_votes()
    return file.by_path([item.path for item in source.items(read=False)]) if file is not None else {}


def _vote_facts(manifest: pa.Table, file: VotesFile | None) -> dict[str, Any] | None:
    votes = votes_of(manifest)
    return None if votes is None else vote_facts(votes, column(manifest, "label"), file.left_out if file else ())


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
        except BaseException:
            with suppress(OSError):  # a full disk: then what was saved before has to do
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


def _require_space(root: Path, scan: Scan, done: int, options: ExamineOptions) -> None:
    per_file = options.channels * options.size**2 + 1024 + 256
    needed = (scan.files - done) * per_file
    free = shutil.disk_usage(root).free
    if needed > free:
        raise disk_full(root, f" (about {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free)")
