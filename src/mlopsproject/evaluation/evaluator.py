"""Evaluates a bundle on a data set, through the same torch-free Predictor that serves it."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import BundleError, DataError
from mlopsproject.core.preprocess import mirrored
from mlopsproject.evaluation.calibration import reliability_bins, risk_coverage
from mlopsproject.evaluation.metrics import classification_metrics, jsonable, roc_curves
from mlopsproject.evaluation.raters import other_class_metrics, rater_metrics
from mlopsproject.evaluation.robustness import measure_rejection, measure_robustness
from mlopsproject.evaluation.twins import find_training_twins, twin_rule

if TYPE_CHECKING:
    from mlopsproject.core.predictor import Predictor
    from mlopsproject.data.dataset import FaceDataset

log = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
METRICS_FILE = "metrics.json"
PLOTS_FOLDER = "plots"
_CHUNK = 512
_HEADLINE = ("images", "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "nll", "brier", "ece")
_LIBRARIES = ("mlopsproject", "onnxruntime", "numpy", "pillow", "scikit-learn")


@dataclass(frozen=True)
class Scores:
    """A model's predictions on the images of a split.

    Attributes:
        rows: int64 ``[N]``, rows of the manifest.
        labels: int64 ``[N]``, indices of the true classes.
        probabilities: float64 ``[N, K]``, calibrated.
        flip_probabilities: the same, of logits averaged over each picture and its mirror image (test-time
            augmentation).
        seconds: wall time of the scoring.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    flip_probabilities: NDArray[np.float64]
    seconds: float


def evaluate_bundle(
    predictor: Predictor,
    dataset: FaceDataset,
    split: str,
    out_dir: Path,
    *,
    bootstrap_samples: int = 1000,
    seed: int = 0,
    batch_size: int = 64,
    robustness_images: int = 0,
    plots: bool = True,
    examples: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Evaluate a bundle and write `metrics.json` and, under `plots/`, the plots.

    Args:
        predictor: of a sealed bundle, or of a folder that is about to be sealed.
        dataset: with the bundle's classes, loaded at its input size and channels.
        split: `train`, `validation`, `test` or `all`.
        out_dir: created if missing.
        bootstrap_samples: resamples for the 95 % intervals.
        seed: of the bootstrap and of the choice of examples.
        batch_size: images per run of the network.
        robustness_images: measure robustness on at most this many of the images, and rejection of pictures without a
            face; 0 skips both.
        plots: write the plots.
        examples: add a grid of example predictions. Off by default, because bundles are shared and the faces of a data
            set often may not be.
        progress: show a progress bar.

    Returns:
        The content of `metrics.json`: everything of `metrics.classification_metrics` at the top level, and
        `reliability` (bins), `risk_coverage`, `abstention` (at the bundle's threshold), `twins` (counts `exact` and
        `near`, and `rule`, see `evaluation.twins`; ``None`` if the bundle has no hashes) with the headline metrics
        `without_exact_twins` and `without_twins`, `flip_tta` (headline metrics with flip test-time augmentation),
        `robustness` and `rejection` (see `evaluation.robustness`; ``None`` if skipped), `raters` and `other_classes`
        (see `evaluation.raters`; ``None`` without any), `bundle`, `data`, `versions`, `seconds`, `created_at`.

    Raises:
        ConfigError: for an unknown split.
        DataError: for a split without images, or a data set that was loaded at another size or number of channels.
        BundleError: if the bundle's classes are not the data set's, or its network's outputs are not finite.
    """
    rows = _rows(dataset, split)
    _check_match(predictor, dataset)
    scores = _score(predictor, dataset, rows, batch_size, progress)
    labels, probabilities = scores.labels, scores.probabilities
    options = {"bootstrap_samples": bootstrap_samples, "seed": seed}
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    curve = risk_coverage(confidence, correct)
    metrics = classification_metrics(labels, probabilities, dataset.classes, **options)
    metrics |= {
        "reliability": reliability_bins(confidence, correct),
        "risk_coverage": _thinned(curve.coverage, curve.risk) | {"area": curve.area},
        "abstention": _abstention(confidence, correct, predictor.abstain_threshold),
        **_without_twins(predictor, dataset, scores, options),
        "flip_tta": _headline(classification_metrics(labels, scores.flip_probabilities, dataset.classes, **options)),
        **_robustness(predictor, dataset, scores, robustness_images, seed, batch_size, progress),
        **_raters(predictor, dataset, split, scores, batch_size),
        **_provenance(predictor, dataset, split, scores.seconds),
    }
    metrics = dict(jsonable(metrics))
    out_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False)
    (out_dir / METRICS_FILE).write_text(text + "\n", encoding="utf-8")
    if plots:
        _draw(metrics, scores, predictor, dataset, out_dir / PLOTS_FOLDER, seed if examples else None)
    return metrics


def _rows(dataset: FaceDataset, split: str) -> NDArray[np.int64]:
    check_choice("split", split, (*SPLITS, "all"))
    names = SPLITS if split == "all" else (split,)
    rows = np.sort(np.concatenate([dataset.splits.get(name, np.empty(0, np.int64)) for name in names]))
    if len(rows) == 0:
        filled = [name for name, found in dataset.splits.items() if len(found)]
        raise DataError(f"Split {split!r} of data set {dataset.name!r} has no images.", f"Filled: {', '.join(filled)}.")
    return rows


def _check_match(predictor: Predictor, dataset: FaceDataset) -> None:
    spec = predictor.spec
    if tuple(dataset.classes) != tuple(spec.classes):
        raise BundleError(
            f"The bundle knows {list(spec.classes)}; data set {dataset.name!r} is loaded with {list(dataset.classes)}.",
            f"Load it with classes=[{','.join(spec.classes)}], or use a bundle with these classes.",
        )
    wanted = (spec.input.channels, spec.input.size, spec.input.size)
    if tuple(dataset.images.shape[1:]) != wanted:
        found = tuple(dataset.images.shape[1:])
        raise DataError(
            f"Data set {dataset.name!r} was loaded as {found}, the bundle takes {wanted} (channels, height, width).",
            f"Load it with size={spec.input.size}, channels={spec.input.channels}.",
        )


def _score(
    predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64], batch_size: int, progress: bool
) -> Scores:
    plain, flipped = [], []
    seconds = 0.0
    # In chunks, so that the memory-mapped images are never all in memory.
    for first in track(range(0, len(rows), _CHUNK), "Scoring", transient=True, disable=not progress):
        images = np.asarray(dataset.images[rows[first : first + _CHUNK]])
        start = time.perf_counter()
        plain.append(predictor.logits(images, batch_size)[0])
        seconds += time.perf_counter() - start
        flipped.append((plain[-1] + predictor.logits(mirrored(images), batch_size)[0]) / 2)
    probabilities = predictor.probabilities(np.concatenate(plain))
    if not np.isfinite(probabilities).all():
        raise BundleError(
            f"The {predictor.precision} network of {_name(predictor)} gives outputs that are not numbers.",
            "Training diverged: lower the learning rate and train again.",
        )
    flip = predictor.probabilities(np.concatenate(flipped))
    return Scores(rows, np.asarray(dataset.labels[rows], dtype=np.int64), probabilities, flip, seconds)


def _name(predictor: Predictor) -> str:
    return predictor.model_version or predictor.bundle.path.name


def _thinned(coverage: NDArray[np.float64], risk: NDArray[np.float64]) -> dict[str, Any]:
    """The curve, sampled at every percent of coverage."""
    grid = np.linspace(0.01, 1.0, 100)
    index = np.minimum(np.searchsorted(coverage, grid - 1e-12), len(coverage) - 1)
    return {"coverage": coverage[index], "risk": risk[index]}


def _abstention(confidence: NDArray[np.float64], correct: NDArray[np.bool_], threshold: float) -> dict[str, Any]:
    answered = confidence >= threshold
    accuracy = float(correct[answered].mean()) if answered.any() else None
    return {"threshold": threshold, "coverage": answered.mean(), "answered": answered.sum(), "accuracy": accuracy}


def _headline(metrics: dict[str, Any]) -> dict[str, Any]:
    intervals = metrics.get("intervals_95", {})
    return {name: metrics[name] for name in _HEADLINE} | {
        "intervals_95": {name: value for name, value in intervals.items() if name in _HEADLINE}
    }


def _robustness(
    predictor: Predictor,
    dataset: FaceDataset,
    scores: Scores,
    count: int,
    seed: int,
    batch_size: int,
    progress: bool,
) -> dict[str, Any]:
    if not count:
        return {"robustness": None, "rejection": None}
    chosen = np.random.default_rng(seed).permutation(len(scores.rows))[:count]
    chosen.sort()
    images, options = np.asarray(dataset.images[scores.rows[chosen]]), {"seed": seed, "batch_size": batch_size}
    return {
        "robustness": measure_robustness(predictor, images, scores.labels[chosen], progress=progress, **options),
        "rejection": measure_rejection(predictor, scores.probabilities[chosen].max(axis=1), **options),
    }


def _raters(predictor: Predictor, dataset: FaceDataset, split: str, scores: Scores, batch_size: int) -> dict[str, Any]:
    said = None
    if dataset.votes is not None:
        said = rater_metrics(dataset.votes, scores.rows, scores.probabilities, dataset.classes, dataset.rule)
    held_out = dataset.others if split == "all" else {split: dataset.others.get(split, np.empty(0, np.int64))}
    rows = np.sort(np.concatenate(list(held_out.values()))) if held_out else np.empty(0, np.int64)
    other = None
    if len(rows):
        confidence = _score(predictor, dataset, rows, batch_size, progress=False).probabilities.max(axis=1)
        other = other_class_metrics(dataset.label_names[rows], confidence, predictor.abstain_threshold)
    return {"raters": said, "other_classes": other}


def _without_twins(
    predictor: Predictor, dataset: FaceDataset, scores: Scores, options: dict[str, Any]
) -> dict[str, Any]:
    import pyarrow.parquet as pq

    path = predictor.bundle.path / "train_hashes.parquet"
    if not path.is_file():
        log.warning("%s has no train_hashes.parquet: twins of its training images cannot be found.", _name(predictor))
        return {"twins": None, "without_exact_twins": None, "without_twins": None}
    twins = find_training_twins(dataset.manifest, scores.rows, pq.read_table(path))

    def figures(keep: NDArray[np.bool_]) -> dict[str, Any] | None:
        if not keep.any():
            return None
        found = classification_metrics(scores.labels[keep], scores.probabilities[keep], dataset.classes, **options)
        return _headline(found)

    return {
        "twins": {"exact": twins.exact.sum(), "near": twins.near.sum(), "rule": twin_rule(twins)},
        "without_exact_twins": figures(~twins.exact),
        "without_twins": figures(~twins.near),
    }


def _provenance(predictor: Predictor, dataset: FaceDataset, split: str, seconds: float) -> dict[str, Any]:
    versions = {"python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        "bundle": {
            "name": predictor.model_version,
            "precision": predictor.precision,
            "temperature": predictor.temperature,
            "classes": list(predictor.spec.classes),
            "trained_on": predictor.spec.training_data.get("name", ""),
        },
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "split": split,
            "labels": dataset.rule.labels,
            **dataset.rule.changed(),
        },
        "versions": versions,
        "seconds": round(seconds, 3),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _draw(
    metrics: dict[str, Any],
    scores: Scores,
    predictor: Predictor,
    dataset: FaceDataset,
    folder: Path,
    examples_seed: int | None,
) -> None:
    from mlopsproject.evaluation import plots

    labels, probabilities, classes = scores.labels, scores.probabilities, dataset.classes
    counts = np.asarray(metrics["confusion"]["raw"])
    curve = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    plots.plot_confusion(counts, classes, folder / "confusion.png")
    plots.plot_confusion(counts, classes, folder / "confusion_normalised.png", normalised=True)
    plots.plot_roc(roc_curves(labels, probabilities, classes), folder / "roc.png")
    plots.plot_reliability(metrics["reliability"], folder / "reliability.png", ece=metrics["ece"])
    plots.plot_risk_coverage(curve, folder / "risk_coverage.png", threshold=predictor.abstain_threshold)
    plots.plot_per_class(metrics, folder / "per_class.png")
    if metrics["robustness"]:
        plots.plot_robustness(metrics["robustness"], folder / "robustness.png")
    if examples_seed is not None:
        shown = plots.example_rows(labels, probabilities, plots.EXAMPLE_COLUMNS, examples_seed)
        chosen = np.unique(np.concatenate(list(shown.values())))
        images = np.asarray(dataset.images[scores.rows[chosen]])
        rows = {title: np.searchsorted(chosen, picks) for title, picks in shown.items()}
        plots.plot_examples(images, labels[chosen], probabilities[chosen], classes, rows, folder / "examples.png")
