"""Performance decay: the model's accuracy on labelled current faces, with an interval, against its test accuracy."""

from __future__ import annotations

from typing import Final

import pandas as pd
from scipy.stats import binomtest, chi2_contingency, ks_2samp

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError
from mlopsproject.core.schemas import Performance, PerformanceVerdict
from mlopsproject.monitoring.current import Current
from mlopsproject.monitoring.settings import DecaySettings

#: Significance level of the test that labelled faces are a random sample of the answered ones.
_SELECTION_ALPHA: Final = 0.01
#: Smallest number of faces on either side for this test.
_ENOUGH: Final = 20


def judge_performance(current: Current, bundle: Bundle, settings: DecaySettings) -> Performance | None:
    """Compare the accuracy on labelled faces with the bundle's accuracy on its test split.

    The verdict is decay if the whole Wilson interval is below the baseline minus the margin. The accuracy is not
    representative if users chose which faces to label: this is tested by comparing confidence and predicted classes of
    labelled faces with those of the others. A choice that depends only on whether the answer was correct, at equal
    confidence and class, is not detected.

    Args:
        current: the faces.
        bundle: its accuracy on its test split is the baseline.
        settings: thresholds of the verdict.

    Returns:
        `None` for a source that cannot have labels (a folder of pictures).

    Raises:
        BundleError: if the bundle's metrics have no accuracy.
    """
    if current.labelled is None:
        return None
    labelled, baseline = current.labelled, _baseline(bundle)
    correct = labelled["predicted"] == labelled["label"]
    labels, agreeing = len(labelled), int(correct.sum())
    low = high = accuracy = None
    if labels:
        interval = binomtest(agreeing, labels).proportion_ci(settings.confidence, method="wilson")
        accuracy, low, high = agreeing / labels, float(interval.low), float(interval.high)
    selection = selection_p_value(labelled, current.unlabelled) if current.unlabelled is not None else None
    verdict, note = _verdict(current, labels, high, selection, baseline, settings)
    per_class = {
        str(name): (len(group), int(group.sum())) for name, group in correct.groupby(labelled["label"], sort=True)
    }
    return Performance(
        verdict=verdict,
        labels=labels,
        correct=agreeing,
        accuracy=accuracy,
        low=low,
        high=high,
        confidence=settings.confidence,
        baseline=baseline,
        margin=settings.margin,
        per_class=per_class,
        source="dataset" if current.source == "dataset" else "feedback",
        selection_p_value=selection,
        note=note,
    )


def selection_p_value(labelled: pd.DataFrame, others: pd.DataFrame) -> float | None:
    """Test whether labelled faces are a random sample: by confidence and by predicted class, Bonferroni.

    Args:
        labelled: `predicted` and `confidence`.
        others: likewise, of faces without a label.

    Returns:
        The p-value, 0-1; `None` if either side has too few faces.
    """
    if min(len(labelled), len(others)) < _ENOUGH:
        return None
    counts = pd.DataFrame({"a": labelled["predicted"].value_counts(), "b": others["predicted"].value_counts()})
    by_class = float(chi2_contingency(counts.fillna(0).to_numpy()).pvalue) if len(counts) > 1 else 1.0
    by_confidence = float(ks_2samp(labelled["confidence"], others["confidence"]).pvalue)
    return min(1.0, 2 * min(by_class, by_confidence))


def _baseline(bundle: Bundle) -> float:
    """The bundle's accuracy on its test split, 0-1."""
    try:
        return float(bundle.metrics()["accuracy"])
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError(f"metrics.json of {bundle.name} names no accuracy.", "Export it again.") from error


def _verdict(
    current: Current,
    labels: int,
    high: float | None,
    selection: float | None,
    baseline: float,
    settings: DecaySettings,
) -> tuple[PerformanceVerdict, str]:
    """The verdict, and how reliable it is."""
    if high is None or labels < settings.min_labels:
        return "not_enough_data", f"{labels} labels are too few to judge; {settings.min_labels} are needed."
    if selection is not None and selection < _SELECTION_ALPHA:
        note = (
            "Users chose what they labelled: labelled faces differ from the others in confidence or class. The figure "
            "says nothing about the others; have a random sample labelled."
        )
        return "chosen_labels", note
    verdict: PerformanceVerdict = "decay" if high < baseline - settings.margin else "ok"
    if current.source == "dataset":
        return verdict, "Every face of the data set is labelled."
    if selection is None:
        return verdict, "Labels by users; too few other faces to tell whether they chose what they labelled."
    return verdict, "Labels by users; by confidence and class they look like a random sample of the answered faces."
