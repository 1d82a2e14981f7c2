"""Classification metrics: confusion matrix, rates, ROC curves and calibration error, with bootstrap intervals.

A class without labelled images cannot be measured: its metrics are ``None``, and macro averages are over the classes
that have images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.evaluation.calibration import expected_calibration_error

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Lower bound of probabilities in the log-likelihood, to keep it finite.
_TINY = 1e-12


@dataclass(frozen=True)
class RocCurve:
    """One receiver operating characteristic: false and true positive rate (0-1, ascending) and the area under it."""

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    area: float


def jsonable(value: Any) -> Any:
    """Convert NumPy scalars and arrays to plain Python, and NaN or infinity to ``None``, recursively."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> IntArray:
    """Count images by true class (rows) and predicted class (columns).

    Returns:
        int64 ``[classes, classes]``.
    """
    flat = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def scores_from_confusion(confusion: NDArray[Any]) -> dict[str, FloatArray]:
    """Compute rates from one confusion matrix or a stack of them.

    Args:
        confusion: counts ``[..., K, K]``, rows are true classes.

    Returns:
        `accuracy`, `macro_f1`, `weighted_f1`, `balanced_accuracy` of shape ``[...]`` and `precision`, `recall`, `f1` of
        shape ``[..., K]``, all 0-1. A class never predicted has precision 0; a class without images is NaN.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    total = support.sum(axis=-1)
    present = support > 0
    precision = np.where(present, hits / np.maximum(predicted, 1.0), np.nan)
    recall = np.where(present, hits / np.maximum(support, 1.0), np.nan)
    f1 = np.where(present, 2 * hits / np.maximum(support + predicted, 1.0), np.nan)
    # Sums instead of nanmean: an empty matrix gives NaN without a warning.
    with np.errstate(invalid="ignore", divide="ignore"):
        number = present.sum(axis=-1)
        return {
            "accuracy": hits.sum(axis=-1) / total,
            "balanced_accuracy": np.nansum(recall, axis=-1) / number,
            "macro_f1": np.nansum(f1, axis=-1) / number,
            "weighted_f1": np.nansum(f1 * support, axis=-1) / total,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }


def bootstrap_scores(confusion: IntArray, samples: int, seed: int) -> dict[str, FloatArray]:
    """Draw bootstrap replicates of every score of `scores_from_confusion`.

    Resampling N images with replacement is equivalent to a multinomial draw of the confusion matrix.

    Returns:
        As `scores_from_confusion`, with a leading axis of `samples`.
    """
    total = int(confusion.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, confusion.ravel() / total, size=samples)
    return scores_from_confusion(drawn.reshape(samples, *confusion.shape))


def roc_curves(labels: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[str]) -> dict[str, RocCurve]:
    """Compute one-vs-rest ROC curves.

    Args:
        labels: int ``[N]``.
        probabilities: float ``[N, K]``.
        classes: the K names.

    Returns:
        One curve for each class that has both positive and negative images, then `micro` (all decisions pooled) and
        `macro` (mean of the class curves). Empty if there is no such class.
    """
    from sklearn.metrics import roc_curve

    scores = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)[:, None] == np.arange(len(classes))
    curves: dict[str, RocCurve] = {}
    for index, name in enumerate(classes):
        if 0 < truth[:, index].sum() < len(truth):
            fpr, tpr, _ = roc_curve(truth[:, index], scores[:, index])
            curves[name] = RocCurve(fpr, tpr, _area(fpr, tpr))
    if not curves:
        return {}
    per_class = list(curves.values())
    fpr, tpr, _ = roc_curve(truth.ravel(), scores.ravel())
    curves["micro"] = RocCurve(fpr, tpr, _area(fpr, tpr))
    grid = np.unique(np.concatenate([curve.false_positive_rate for curve in per_class]))
    mean = np.mean([np.interp(grid, c.false_positive_rate, c.true_positive_rate) for c in per_class], axis=0)
    # As usual, the mean of the class areas rather than the area of the interpolated mean curve.
    curves["macro"] = RocCurve(grid, mean, float(np.mean([curve.area for curve in per_class])))
    return curves


def classification_metrics(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    *,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute all metrics of a classifier on labelled images.

    Args:
        labels: int ``[N]``, 0 to K-1.
        probabilities: float ``[N, K]``, rows sum to 1, calibrated.
        classes: the K class names in output order.
        bootstrap_samples: resamples for the 95 % percentile intervals; 0 leaves the intervals out.
        seed: of the bootstrap.

    Returns:
        Plain JSON types: `images`, `accuracy`, `balanced_accuracy`, `macro_f1`, `weighted_f1`, `nll`, `brier`, `ece`
        (15 bins), `mean_confidence`; `per_class` name → `precision`, `recall`, `f1`, `support`, `predicted`;
        `confusion` → `raw` (rows are true classes) and `normalised` (by row); `roc_auc` → class names, `micro`,
        `macro`; `intervals_95` → `[low, high]` of accuracy, balanced accuracy, macro and weighted F1, and `per_class`
        of precision, recall and F1. What cannot be measured is ``None``.

    Raises:
        ValueError: for shapes that do not fit, labels out of range, no images, or probabilities that are not numbers.
    """
    truth, scores = _checked(labels, probabilities, classes)
    predicted = scores.argmax(axis=1)
    confidence, correct = scores.max(axis=1), predicted == truth
    counts = confusion_matrix(truth, predicted, len(classes))
    rates = scores_from_confusion(counts)
    support = counts.sum(axis=1)
    curves = roc_curves(truth, scores, classes)
    one_hot = truth[:, None] == np.arange(len(classes))
    with np.errstate(invalid="ignore"):
        normalised = counts / support[:, None]
    result = {
        "images": len(truth),
        **{name: rates[name] for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")},
        "nll": -np.mean(np.log(np.maximum(scores[np.arange(len(truth)), truth], _TINY))),
        "brier": np.mean(np.sum((scores - one_hot) ** 2, axis=1)),
        "ece": expected_calibration_error(confidence, correct),
        "mean_confidence": confidence.mean(),
        "per_class": {
            name: {
                **{key: rates[key][i] for key in ("precision", "recall", "f1")},
                "support": support[i],
                "predicted": counts[:, i].sum(),
            }
            for i, name in enumerate(classes)
        },
        "confusion": {"raw": counts, "normalised": normalised},
        "roc_auc": {name: curves[name].area if name in curves else None for name in (*classes, "micro", "macro")},
    }
    if bootstrap_samples:
        result["intervals_95"] = _intervals(counts, classes, bootstrap_samples, seed)
    return dict(jsonable(result))


def _intervals(counts: IntArray, classes: Sequence[str], samples: int, seed: int) -> dict[str, Any]:
    drawn = bootstrap_scores(counts, samples, seed)

    def interval(values: FloatArray) -> list[float] | None:
        # A rare class may be missing from some resamples, which are then ignored.
        known = values[~np.isnan(values)]
        return [float(edge) for edge in np.percentile(known, [2.5, 97.5])] if len(known) else None

    headline = {name: interval(drawn[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1")}
    per_class = {
        name: {key: interval(drawn[key][:, i]) for key in ("precision", "recall", "f1")}
        for i, name in enumerate(classes)
    }
    return {**headline, "per_class": per_class}


def _checked(labels: NDArray[Any], probabilities: NDArray[Any], classes: Sequence[str]) -> tuple[IntArray, FloatArray]:
    truth = np.asarray(labels)
    scores = np.asarray(probabilities, dtype=np.float64)
    if truth.ndim != 1 or scores.shape != (len(truth), len(classes)):
        raise ValueError(f"labels {truth.shape} and probabilities {scores.shape} do not fit {len(classes)} classes")
    if len(truth) == 0:
        raise ValueError("there is nothing to measure: no images")
    if truth.min() < 0 or truth.max() >= len(classes):
        raise ValueError(f"labels run from {truth.min()} to {truth.max()}, outside 0-{len(classes) - 1}")
    if not np.isfinite(scores).all():
        raise ValueError("probabilities contain NaN or infinity: the network's output is not usable")
    return truth.astype(np.int64), scores


def _area(fpr: FloatArray, tpr: FloatArray) -> float:
    return float(np.trapezoid(tpr, fpr))
