"""Compares a retrained candidate with the model in production on the same test images, and decides on promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow.parquet as pq
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from scipy.stats import bootstrap

from mlopsproject.core.checks import check_number, check_whole
from mlopsproject.core.errors import BundleError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.manifest import column
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.pages import file_uri, write_page
from mlopsproject.evaluation.style import GREEN, INK, RED, figure
from mlopsproject.evaluation.twins import find_training_twins

COMPARISON_FILE: Final = "comparison.json"
PAGE_FILE: Final = "report.html"
PLOT_FILE: Final = "comparison.png"
#: Bootstrap resamples that are computed at a time.
_BATCH: Final = 100
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gate:
    """Criteria for promoting a candidate; see `configs/retrain.yaml`.

    Attributes:
        margin: largest tolerated loss of accuracy on the old test split, 0-1.
        confidence: level of the two-sided intervals of the differences, 0-1.
        samples: number of bootstrap resamples.
        min_test: smallest number of distinct test images (twins count once) of each part for a promotion.
        seed: of the bootstrap.
    """

    margin: float
    confidence: float
    samples: int
    min_test: int
    seed: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read the config's `gate` group.

        Raises:
            ConfigError: for a value that is not possible.
        """
        check_number("gate.margin", settings["margin"], highest=1)
        check_number("gate.confidence", settings["confidence"], highest=1, open_ends=True)
        check_whole("gate.samples", settings["samples"], lowest=100, highest=100_000)
        check_whole("gate.min_test", settings["min_test"], lowest=2)
        check_whole("gate.seed", settings["seed"], lowest=0, highest=2**32 - 1)
        return cls(**settings)


class Part(BaseModel):
    """Accuracy of both models on the same test images.

    Attributes:
        images: number of images that were compared.
        groups: number of groups of twins (exact or near duplicates) among them.
        seen: number of images left out, because they or twins of them are training data of either model.
        production: accuracy of the model in production, 0-1.
        candidate: accuracy of the candidate, 0-1.
        difference: candidate minus production.
        low: lower end of the difference's interval, from a paired bootstrap over groups of twins.
        high: its upper end.
        per_class: label → number of images, correct answers of production, correct answers of the candidate.
    """

    images: int
    groups: int
    seen: int
    production: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    high: float | None
    per_class: dict[str, tuple[int, int, int]]


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
    before, after = _correct(production, dataset, rows), _correct(candidate, other, rows)
    seen = _seen(production, dataset, rows) | _seen(candidate, dataset, rows)
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
    )
    comparison.better, comparison.reason = decide(comparison)
    return comparison


def compare_answers(
    production: Mask,
    candidate: Mask,
    labels: NDArray[np.str_],
    group: NDArray[np.int64],
    part: Mask,
    seen: Mask,
    gate: Gate,
) -> Part:
    """Compare the accuracy of both models on one part of the test images.

    The interval is the percentile interval of a paired bootstrap over groups of twins, because twins are not
    independent images.

    Args:
        production: bool `[N]`, whether production's answer is correct.
        candidate: bool `[N]`, whether the candidate's answer is correct.
        labels: str `[N]`, names of the true classes.
        group: int64 `[N]`, equal for twins.
        part: bool `[N]`, images of the part.
        seen: bool `[N]`, images to leave out, because a model was trained on them.
        gate: confidence, samples and seed.
    """
    counted = part & ~seen
    before, after, names = production[counted], candidate[counted], labels[counted]
    gained = after.astype(float) - before
    low = high = None
    members = np.unique(group[counted], return_inverse=True)[1]
    sizes, sums = np.bincount(members), np.bincount(members, weights=gained)
    if len(sizes) > 1:
        found = bootstrap(
            (sums, sizes),
            lambda gains, counts, axis: gains.sum(axis=axis) / counts.sum(axis=axis),
            paired=True,
            vectorized=True,
            batch=_BATCH,
            confidence_level=gate.confidence,
            n_resamples=gate.samples,
            method="percentile",
            rng=np.random.default_rng(gate.seed),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return Part(
        images=len(gained),
        groups=len(sizes),
        seen=int((part & seen).sum()),
        production=float(before.mean()) if len(gained) else None,
        candidate=float(after.mean()) if len(gained) else None,
        difference=float(gained.mean()) if len(gained) else None,
        low=low,
        high=high,
        per_class={
            str(name): (int((names == name).sum()), int(before[names == name].sum()), int(after[names == name].sum()))
            for name in np.unique(names)
        },
    )


def decide(comparison: Comparison) -> tuple[bool, str]:
    """Whether a candidate passes the gate, and the reason in a sentence."""
    old, new, margin = comparison.old, comparison.new, comparison.margin
    for name, part in (("old", old), ("new", new)):
        if part.groups < comparison.min_test or part.low is None:
            needed = f"{comparison.min_test} different ones are needed"
            return False, f"{part.groups} test images of the {name} data are too few; {needed}."
    assert new.low is not None
    assert old.low is not None
    if new.low <= 0:
        return False, f"On the new data it is not certainly better: {_points(new)}."
    if old.low <= -margin:
        return False, f"On the old data it may be worse by more than {100 * margin:g} points: {_points(old)}."
    return True, f"Better on the new data ({_points(new)}), and no worse on the old ({_points(old)})."


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


def _points(part: Part) -> str:
    assert part.difference is not None
    assert part.low is not None
    assert part.high is not None
    return f"{100 * part.difference:+.1f} points ({100 * part.low:+.1f} to {100 * part.high:+.1f})"


def _correct(predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64]) -> Mask:
    logits, _ = predictor.logits(np.asarray(dataset.images[rows]))
    return np.asarray(logits.argmax(axis=1) == dataset.labels[rows])


def _seen(predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64]) -> Mask:
    """Test images that a model was trained on, or that are twins of its training images; bool `[N]`."""
    hashes = pq.read_table(predictor.bundle.file("train_hashes.parquet"))
    return find_training_twins(dataset.manifest, rows, hashes).near
