"""Calibration and selective prediction: temperature scaling, calibration error, risk-coverage, abstain threshold.

Confidence is the probability of the predicted class, float in 0-1. A picture is *answered* when its confidence is at or
above the abstain threshold, else the model says "uncertain". *Coverage* is the answered share, *risk* the error rate
among the answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Bounds of the fit; temperatures outside result only from tiny validation sets.
_TEMPERATURE_RANGE = (0.1, 10.0)


class ReliabilityBin(TypedDict):
    """One confidence bin ``(lower, upper]``; `confidence` and `accuracy` are means, ``None`` in an empty bin."""

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class RiskCoverage:
    """Risk-coverage curve, one point per distinct confidence, from the highest threshold to the lowest.

    Attributes:
        threshold: float64 ``[M]``, descending; a picture is answered when its confidence is at or above it.
        coverage: float64 ``[M]``, share answered, 0-1, ascending, the last is 1.
        risk: float64 ``[M]``, share of the answered that is wrong, 0-1.
    """

    threshold: FloatArray
    coverage: FloatArray
    risk: FloatArray

    @property
    def area(self) -> float:
        """Area under the risk-coverage curve (mean risk over coverage, 0-1; lower is better)."""
        widths = np.diff(self.coverage, prepend=0.0)
        return float(np.sum(widths * self.risk))


@dataclass(frozen=True)
class AbstainFit:
    """A fitted abstain threshold, with coverage and risk on the images that it was fitted on.

    Attributes:
        threshold: pictures with confidence below it are "uncertain"; 0 answers everything.
        coverage: share answered, 0-1.
        risk: error rate among the answered, 0-1.
        attained: whether the requested risk was met; if not, the threshold gives the smallest allowed coverage.
    """

    threshold: float
    coverage: float
    risk: float
    attained: bool


def softmax(logits: NDArray[Any], temperature: float = 1.0) -> FloatArray:
    """Class probabilities of logits, with temperature scaling.

    Args:
        logits: float ``[N, K]``.
        temperature: logits are divided by it; values above 1 lower the confidence.

    Returns:
        float64 ``[N, K]``, rows sum to 1.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponentials: FloatArray = np.exp(scaled)
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def fit_temperature(logits: NDArray[Any], labels: NDArray[Any]) -> float:
    """Fit the temperature that minimises the negative log-likelihood (temperature scaling, Guo et al., 2017).

    If every picture is classified correctly, so that there is no minimum, or no temperature is better than 1, the
    result is 1.

    Args:
        logits: float ``[N, K]`` of **validation** images.
        labels: int ``[N]``, 0 to K-1.

    Returns:
        A temperature between 0.1 and 10.

    Raises:
        ValueError: without images, or when the lengths differ.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    scores = np.asarray(logits, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.int64)
    if len(scores) == 0 or len(scores) != len(truth):
        raise ValueError(
            f"fitting a temperature needs as many labels as logits, at least one: {len(truth)} and {len(scores)}"
        )
    true_score = scores[np.arange(len(truth)), truth]
    if np.all(true_score >= scores.max(axis=1)):
        return 1.0

    def nll(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(logsumexp(scores * inverse, axis=1) - true_score * inverse))

    low, high = np.log(_TEMPERATURE_RANGE)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x)) if found.fun < nll(0.0) else 1.0


def reliability_bins(confidence: NDArray[Any], correct: NDArray[Any], bins: int = 15) -> list[ReliabilityBin]:
    """Compare mean confidence with accuracy in equal-width bins.

    Args:
        confidence: float ``[N]``, 0-1.
        correct: bool ``[N]``.
        bins: how many equal-width bins over 0-1; a value on an edge falls in the bin below it.

    Returns:
        One entry per bin, lowest first, empty ones included.
    """
    values = np.asarray(confidence, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    confidences = np.bincount(which, weights=values, minlength=bins)
    hits = np.bincount(which, weights=np.asarray(correct, dtype=np.float64), minlength=bins)
    return [
        ReliabilityBin(
            lower=float(edges[i]),
            upper=float(edges[i + 1]),
            count=int(n),
            confidence=float(confidences[i] / n) if n else None,
            accuracy=float(hits[i] / n) if n else None,
        )
        for i, n in enumerate(counts)
    ]


def expected_calibration_error(confidence: NDArray[Any], correct: NDArray[Any], bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by count.

    Args:
        confidence: float ``[N]``, 0-1.
        correct: bool ``[N]``.
        bins: how many equal-width bins over 0-1.

    Returns:
        A value in 0-1; NaN without images.
    """
    if len(confidence) == 0:
        return float("nan")
    gaps = [
        item["count"] * abs(item["confidence"] - item["accuracy"])
        for item in reliability_bins(confidence, correct, bins)
        if item["confidence"] is not None and item["accuracy"] is not None
    ]
    return float(sum(gaps) / len(confidence))


def risk_coverage(confidence: NDArray[Any], correct: NDArray[Any]) -> RiskCoverage:
    """Compute the risk-coverage curve.

    Pictures of equal confidence are answered together, so the curve does not depend on the order of the input.

    Args:
        confidence: float ``[N]``, 0-1.
        correct: bool ``[N]``.

    Raises:
        ValueError: without images.
    """
    values = np.asarray(confidence, dtype=np.float64)
    if len(values) == 0:
        raise ValueError("a risk-coverage curve needs at least one image")
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    wrong = np.cumsum(~np.asarray(correct, dtype=bool)[order])
    last_of_tie = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    answered = last_of_tie + 1
    return RiskCoverage(
        threshold=ranked[last_of_tie],
        coverage=answered / len(values),
        risk=wrong[last_of_tie] / answered,
    )


def fit_abstention(
    confidence: NDArray[Any],
    correct: NDArray[Any],
    max_risk: float = 0.10,
    min_coverage: float = 0.5,
    other: NDArray[Any] | None = None,
    min_rejection: float = 0.0,
) -> AbstainFit:
    """Find the lowest confidence threshold that answers well, often enough, and not to faces of other classes.

    That is with a risk of at most `max_risk`, a coverage of `min_coverage` or more, and at least `min_rejection` of the
    `other` pictures below it.

    If there is none, the result is the highest threshold with a coverage of `min_coverage` or more, with
    ``attained=False``.

    Args:
        confidence: float ``[N]``, 0-1, calibrated, of **validation** images.
        correct: bool ``[N]``.
        max_risk: largest error rate among the answered, 0-1.
        min_coverage: smallest answered share, 0-1.
        other: float ``[M]``, confidence on validation images of classes that the model does not know.
        min_rejection: smallest share of these that must be uncertain, 0-1.

    Raises:
        ValueError: without images.
    """
    curve = risk_coverage(confidence, correct)
    # Rounding in k/N must not reject a coverage or risk that is met exactly.
    enough = curve.coverage >= min_coverage - 1e-12
    good = curve.risk <= max_risk + 1e-12
    if other is not None and len(other):
        below = np.searchsorted(np.sort(other), curve.threshold, side="left") / len(other)
        # The last threshold becomes 0, which rejects nothing.
        below[-1] = 0.0
        good &= below >= min_rejection - 1e-12
    fits = np.flatnonzero(enough & good)
    index = int(fits[-1]) if len(fits) else int(np.argmax(enough))
    everything = index == len(curve.threshold) - 1
    return AbstainFit(
        threshold=0.0 if everything else float(curve.threshold[index]),
        coverage=float(curve.coverage[index]),
        risk=float(curve.risk[index]),
        attained=bool(len(fits)),
    )
