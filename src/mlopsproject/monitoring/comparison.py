"""Compares a retrained candidate with the model in production on the same test images, and decides on promotion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter
from pydantic import BaseModel, Field

from mlopsproject.core.errors import BundleError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.manifest import column
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.pages import file_uri, write_page
from mlopsproject.evaluation.style import GREEN, INK, RED, figure
from mlopsproject.monitoring.gate import Gate, Part, compare_answers, correct_answers, points, trained_on

COMPARISON_FILE: Final = "comparison.json"
PAGE_FILE: Final = "report.html"
PLOT_FILE: Final = "comparison.png"


class Comparison(BaseModel):
    """A candidate against the model in production.

    Attributes:
        production: name of the bundle in production.
        candidate: name of the candidate's bundle.
        data: name of the merged data set that the test images are from.
        old: results on the test images of the data that production was trained on.
        new: results on the test images of the new data.
        margin: see `Gate`.
        confidence: see `Gate`.
        min_test: see `Gate`.
        min_accuracy: see `Gate`.
        better: whether the candidate passes: better on new data, and not worse on old by more than the margin.
        reason: of the decision, in a sentence.
    """

    production: str
    candidate: str
    data: str
    old: Part
    new: Part
    margin: float
    confidence: float
    min_test: int
    min_accuracy: float = 0
    better: bool = False
    reason: str = Field(default="")


def compare_models(
    production: Predictor, candidate: Predictor, data: Mapping[str, Any], new_data: str, gate: Gate
) -> Comparison:
    """Compare both models on the test split of merged data, separately for old and new images.

    Args:
        production: the model in production.
        candidate: with the same classes.
        data: `name` and `root` of the merged data set.
        new_data: name of the data set that is new; all other images are old.
        gate: criteria of the decision.

    Raises:
        BundleError: if the classes differ, or a bundle has no hashes of its training images.
        DataError: if the data set cannot be opened.
    """
    classes = production.spec.classes
    if candidate.spec.classes != classes:
        raise BundleError(f"{candidate.model_version} has other classes than {production.model_version}.")
    dataset, other = (
        open_dataset(data, predictor.spec.input, classes=classes, complete=False)
        for predictor in (production, candidate)
    )
    rows = dataset.splits["test"]
    before, after = correct_answers(production, dataset, rows), correct_answers(candidate, other, rows)
    seen = trained_on(production, dataset, rows) | trained_on(candidate, dataset, rows)
    paths = dataset.manifest["path"].to_pylist()
    is_new = np.array([paths[row].startswith(f"{new_data}/") for row in rows], bool)
    labels, group = np.asarray(classes)[dataset.labels[rows]], column(dataset.manifest, "group")[rows]
    comparison = Comparison(
        production=production.model_version,
        candidate=candidate.model_version,
        data=dataset.name,
        old=compare_answers(before, after, labels, group, ~is_new, seen, gate),
        new=compare_answers(before, after, labels, group, is_new, seen, gate),
        margin=gate.margin,
        confidence=gate.confidence,
        min_test=gate.min_test,
        min_accuracy=gate.min_accuracy,
    )
    comparison.better, comparison.reason = decide(comparison)
    return comparison


def decide(comparison: Comparison) -> tuple[bool, str]:
    """Whether a candidate passes the gate, and the reason in a sentence."""
    old, new, margin = comparison.old, comparison.new, comparison.margin
    for name, part in (("old", old), ("new", new)):
        if part.groups < comparison.min_test or part.low is None:
            needed = f"{comparison.min_test} different ones are needed"
            return False, f"{part.groups} test images of the {name} data are too few; {needed}."
    assert new.low is not None
    assert old.low is not None
    assert new.candidate is not None
    if new.candidate < comparison.min_accuracy:
        least = f"{100 * comparison.min_accuracy:g} % is the least"
        return False, f"It is right on {100 * new.candidate:.1f} % of the new data; {least}."
    if new.low <= 0:
        return False, f"On the new data it is not certainly better: {points(new)}."
    if old.low <= -margin:
        return False, f"On the old data it may be worse by more than {100 * margin:g} points: {points(old)}."
    return True, f"Better on the new data ({points(new)}), and no worse on the old ({points(old)})."


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write `report.html` with its plot, then `comparison.json`."""
    plot_comparison(comparison, folder / PLOT_FILE)
    write_page(
        "retraining.html.j2",
        folder / PAGE_FILE,
        title="Better" if comparison.better else "Kept aside",
        kicker="Candidate against production",
        subtitle=comparison.reason,
        c=comparison,
        plot=file_uri(folder / PLOT_FILE),
        parts=[("new data", comparison.new), ("old data", comparison.old)],
    )
    (folder / COMPARISON_FILE).write_text(comparison.model_dump_json(indent=2) + "\n", encoding="utf-8")


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """Draw the difference in accuracy with its interval on both parts, and the bound that it has to exceed."""
    title = "Better than production" if comparison.better else "Not better than production: kept aside"
    subtitle = f"accuracy of the candidate less production's, {comparison.confidence:.0%} intervals"
    with figure(path, (9.0, 2.9), title, subtitle) as canvas:
        axes = canvas.subplots()
        parts = (("old data", comparison.old, -comparison.margin), ("new data", comparison.new, 0.0))
        for place, (name, part, bound) in enumerate(parts):
            axes.plot([bound, bound], [place - 0.25, place + 0.25], color=INK, linewidth=1.5, linestyle=(0, (4, 3)))
            label = f"{name}\n{part.images} images"
            axes.text(-0.01, place, label, transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK)
            if part.difference is None or part.low is None or part.high is None:
                continue
            colour = GREEN if part.low > bound else RED
            errors = [[part.difference - part.low], [part.high - part.difference]]
            axes.errorbar([part.difference], [place], xerr=errors, fmt="o", color=colour, capsize=5, markersize=8)
            text = f"{part.production:.1%} → {part.candidate:.1%}"
            axes.annotate(text, (part.high, place), (10, 0), textcoords="offset points", va="center", fontsize=9)
        axes.set(ylim=(-0.6, 1.6), yticks=[])
        axes.margins(x=0.25)
        axes.set_xlabel("points; the whole interval has to lie to the right of the dashed line")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+g}"))
