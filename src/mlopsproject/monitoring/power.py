"""Benchmark of drift detection: false-alarm rate and power on resamples of unchanged and of corrupted faces."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice, check_text, check_whole
from mlopsproject.core.classes import FIVE
from mlopsproject.core.corrupt import corrupt_by
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.manifest import column
from mlopsproject.data.opening import open_dataset
from mlopsproject.data.progress import progress_bar
from mlopsproject.data.synthetic import write_dataset
from mlopsproject.evaluation.evaluator import SPLITS
from mlopsproject.evaluation.reference import describe_faces
from mlopsproject.evaluation.twins import find_training_twins
from mlopsproject.monitoring.current import from_pictures
from mlopsproject.monitoring.detection import detect
from mlopsproject.monitoring.reference import read_reference
from mlopsproject.monitoring.settings import DetectionSettings

#: Name of the unchanged faces, the first row of the result.
SAME: Final = "same distribution"
#: Changes, named by their size at 64 pixels → kind and amount, see `corrupt.corrupt_by`.
SHIFTS: Final[dict[str, tuple[str, float]]] = {
    "blur, σ 1.2 pixels": ("blur", 1.2 / 64),
    "noise, σ 0.08": ("noise", 0.08 * 255),
    "brightness + 0.2": ("exposure", 0.2 * 255),
    "brightness - 0.2": ("exposure", -0.2 * 255),
    "contrast × 0.6": ("contrast", 0.6),
    "JPEG, quality 15": ("jpeg", 15),
    "rotation ± 20°": ("rotation", 20),
    "occlusion, 25 % of the side": ("occlusion", 0.25),
    "occlusion, 25 % of the area": ("occlusion", 0.5),
}
HAPPY: Final = "happy share × 2"
OTHER: Final = "another source"
#: Required share of resamples with an alarm (changed faces) or without one (unchanged faces).
_BAR: Final = 0.95
#: Seed of the synthetic faces that are used without a data set; the sample data for training have seed 0.
_SEED: Final = 1

#: Number of alarms, or the reason why they cannot be counted.
Outcome = int | str


@dataclass(frozen=True)
class Pool:
    """Faces to draw from.

    Attributes:
        reference: the bundle's reference table.
        tables: change → table with a row per face.
        happy: rows of `tables[SAME]` whose label is happy.
        settings: of the detection.
    """

    reference: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    happy: NDArray[np.int64]
    settings: DetectionSettings


def benchmark_drift(
    *,
    bundle: str,
    store: str,
    data: str | None,
    root: str,
    split: str,
    other: str | None,
    faces: int,
    sizes: list[int],
    resamples: int,
    seed: int,
    workers: int,
    detect: dict[str, Any],
    progress: bool = True,
) -> dict[str, Any]:
    """Count drift alarms over resamples (drawn without replacement) for every change and size.

    Args:
        bundle: whose reference is used.
        store: address of the store.
        data: data set to draw from; `None` generates synthetic faces with another seed than the sample data.
        root: folder of the data sets.
        split: of the data set; images of the training data or the reference, and twins of them, are left out.
        other: pictures of another source; `None` generates synthetic faces with drift.
        faces: number of faces to generate.
        sizes: faces per resample; `bars` are computed for the first.
        resamples: number of resamples of each change and size.
        seed: of the resamples.
        workers: number of processes.
        detect: the config's `detect` group.
        progress: show a progress bar.

    Returns:
        `matrix` (change → size → number of alarms, or the reason why there is none), `bars` (change → measured share,
        required share, and whether it is met), and numbers of faces and resamples.

    Raises:
        UserError: for a missing bundle, data set or folder, or a number that is not possible.
    """
    check_text("drift.root", root)
    _check(sizes, split, faces=faces, resamples=resamples, workers=workers, seed=seed)
    predictor = Predictor.load(bundle, store=store, threads=2)
    settings = DetectionSettings.of(detect, predictor.spec.classes)
    with tempfile.TemporaryDirectory() as folder:
        dataset, rows = _faces(predictor, data, Path(root), split, faces, Path(folder), progress)
        if other is None:
            other = str(Path(folder) / "other")
            write_dataset(other, images=faces, classes=FIVE, seed=_SEED, drift=True, progress=progress)
        pool = _pool(predictor, dataset, rows, other, settings)
    alarms = _count(pool, sizes, resamples, seed, workers, progress)
    return {
        "bundle": predictor.model_version,
        "faces": len(rows),
        "faces of another source": len(pool.tables[OTHER]),
        "reference": len(pool.reference),
        "resamples": resamples,
        "minimum for a verdict": settings.min_rows,
        "matrix": alarms,
        "bars": _bars(alarms, str(sizes[0]), resamples),
    }


def _check(sizes: list[int], split: str, **numbers: int) -> None:
    if not isinstance(sizes, list) or not sizes:
        raise ConfigError(f"drift.sizes={sizes} is not possible.", "Give a list such as [500,100].")
    for size in sizes:
        check_whole("drift.sizes", size, lowest=20)
    check_choice("drift.split", split, (*SPLITS, "all"))
    for key, value in numbers.items():
        check_whole(f"drift.{key}", value, lowest=0 if key == "seed" else 1)


def _faces(
    predictor: Predictor, data: str | None, root: Path, split: str, faces: int, folder: Path, progress: bool
) -> tuple[FaceDataset, NDArray[np.int64]]:
    """A data set, and its rows that are neither in the training data nor in the reference."""
    spec, classes = predictor.spec.input, predictor.spec.classes
    if data is None:
        write_dataset(folder / "drawn", images=faces, classes=classes, seed=_SEED, progress=progress)
        root, size, channels = folder / "data", spec.size, spec.channels
        import_dataset(folder / "drawn", "drawn", root=root, classes=classes, size=size, channels=channels)
        drawn = load_dataset("drawn", root=root, classes=classes, size=size, channels=channels)
        return drawn, np.flatnonzero(drawn.labels >= 0)
    dataset = open_dataset({"name": data, "root": root}, spec, classes=classes, complete=False)
    rows = np.sort(np.concatenate([dataset.splits[part] for part in (SPLITS if split == "all" else [split])]))
    return dataset, rows[~_seen(predictor, dataset, rows)]


def _seen(predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Images that are in the training data or in the reference, or twins of such images; bool `[N]`."""
    import pyarrow.parquet as pq

    hashes = pq.read_table(predictor.bundle.file("train_hashes.parquet"))
    trained = find_training_twins(dataset.manifest, rows, hashes).near
    if predictor.spec.training_data.get("fingerprint") != dataset.fingerprint:
        return trained
    group = column(dataset.manifest, "group")
    return trained | np.isin(group[rows], group[dataset.splits["validation"]])


def _pool(
    predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64], other: str, settings: DetectionSettings
) -> Pool:
    images = np.asarray(dataset.images[rows])
    changed = {SAME: images}
    changed |= {name: corrupt_by(images, *change, seed=_SEED) for name, change in SHIFTS.items()}
    sizes = [column(dataset.manifest, side)[rows] for side in ("width", "height")]
    every = np.arange(len(images))
    tables = {name: pd.DataFrame(describe_faces(predictor, found, every, *sizes)) for name, found in changed.items()}
    pictures = from_pictures(other, predictor, "none", shown=0, seed=0, progress=False)
    tables |= {HAPPY: tables[SAME], OTHER: pictures.table}
    reference = read_reference(predictor.bundle, settings.columns)
    if "happy" not in dataset.classes:
        raise DataError(f"{predictor.model_version} does not know the class happy.", "Choose another bundle=.")
    happy = np.flatnonzero(dataset.labels[rows] == dataset.classes.index("happy"))
    return Pool(reference, tables, happy, settings)


def draw(pool: Pool, change: str, size: int, rng: np.random.Generator) -> NDArray[np.int64] | None:
    """Draw rows of a change's table without replacement; `None` if there are not enough.

    With `HAPPY` the share of happy faces among them is twice that of the pool.
    """
    count = len(pool.tables[change])
    if size > count:
        return None
    if change != HAPPY:
        return rng.choice(count, size, replace=False)
    others = np.setdiff1d(np.arange(count), pool.happy)
    wanted = min(size, round(2 * size * len(pool.happy) / count))
    if wanted > len(pool.happy) or size - wanted > len(others):
        return None
    return np.concatenate(
        [rng.choice(pool.happy, wanted, replace=False), rng.choice(others, size - wanted, replace=False)]
    )


_pool_of_worker: Pool


def _start_worker(pool: Pool) -> None:
    global _pool_of_worker
    _pool_of_worker = pool


def _alarm(change: str, size: int, seed: int) -> Outcome:
    """Test one resample: 1 for an alarm, 0 for none, or the reason why it could not be tested."""
    pool = _pool_of_worker
    rows = draw(pool, change, size, np.random.default_rng(seed))
    if rows is None:
        return "too few faces"
    verdict = detect(pool.reference, pool.tables[change].iloc[rows], pool.settings).verdict
    return "not enough data" if verdict == "not_enough_data" else int(verdict == "drift")


def _count(
    pool: Pool, sizes: list[int], resamples: int, seed: int, workers: int, progress: bool
) -> dict[str, dict[str, Outcome]]:
    """Number of alarms per change and size."""
    changes = [SAME, *SHIFTS, HAPPY, OTHER]
    jobs = [(change, size, seed + number) for size in sizes for change in changes for number in range(resamples)]
    found: dict[str, dict[str, Outcome]] = {change: {} for change in changes}
    with progress_bar(progress) as bar:
        task = bar.add_task("Resampling", total=len(jobs))
        for (change, size, _), alarm in zip(jobs, _run(pool, jobs, workers), strict=True):
            before = found[change].get(str(size), 0)
            found[change][str(size)] = before + alarm if isinstance(before, int) and isinstance(alarm, int) else alarm
            bar.advance(task)
    return found


def _run(pool: Pool, jobs: list[tuple[str, int, int]], workers: int) -> Iterator[Outcome]:
    columns: list[tuple[Any, ...]] = list(zip(*jobs, strict=True))
    alarm: Callable[..., Outcome] = _alarm
    if workers == 1:
        _start_worker(pool)
        yield from map(alarm, *columns)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(pool,)) as executor:
        yield from executor.map(alarm, *columns, chunksize=10)


def _bars(alarms: dict[str, dict[str, Outcome]], size: str, resamples: int) -> dict[str, dict[str, Any]]:
    bars = {}
    for change in (SAME, *SHIFTS, HAPPY, OTHER):
        count = alarms[change][size]
        quiet = change == SAME
        measured = (resamples - count if quiet else count) / resamples if isinstance(count, int) else None
        name = f"{change}: {'no alarm' if quiet else 'detected'}, {size} faces"
        bars[name] = {"measured": measured, "bar": f">= {_BAR}", "met": measured is not None and measured >= _BAR}
    return bars
