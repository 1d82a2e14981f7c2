"""The gate that a model passes before an alias points at it: no worse than the one there, on the same test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel
from scipy.stats import bootstrap

from mlopsproject.core.checks import check_number, check_whole
from mlopsproject.core.errors import BundleError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.manifest import column
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.twins import find_training_twins

#: Bootstrap resamples that are computed at a time.
_BATCH: Final = 100
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gate:
    """Criteria for promoting a candidate; see `configs/gate/default.yaml`.

    Attributes:
        margin: largest tolerated loss of accuracy, 0-1: on the old data of a retraining, the data set of a promotion.
        confidence: level of the two-sided intervals of the differences, 0-1.
        min_accuracy: smallest accuracy, 0-1: on the new data of a retraining, the data set of a promotion.
        samples: number of bootstrap resamples.
        min_test: smallest number of distinct test images (twins count once) of each part for a promotion.
        seed: of the bootstrap.
    """

    margin: float
    confidence: float
    min_accuracy: float
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
        check_number("gate.min_accuracy", settings["min_accuracy"], highest=1)
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


def pass_gate(candidate: Predictor, production: Predictor | None, data: Mapping[str, Any], gate: Gate) -> str:
    """Test a model before an alias is moved to it.

    Args:
        candidate: the model.
        production: the one that the alias holds; ``None`` for a new alias, where only `gate.min_accuracy` counts.
        data: `name` and `root` of a data set, on whose test split both are compared.
        gate: the criteria.

    Returns:
        What was found, in a sentence.

    Raises:
        BundleError: if the model does not pass, or cannot be compared: other classes, too few images.
        DataError: if the data set cannot be opened.
    """
    before = production or candidate
    classes, name = candidate.spec.classes, candidate.model_version
    if before.spec.classes != classes:
        raise BundleError(f"{name} has other classes than {before.model_version}, which cannot be compared.")
    old, new = (open_dataset(data, one.spec.input, classes=classes, complete=False) for one in (before, candidate))
    rows = new.splits["test"]
    part = compare_answers(
        correct_answers(before, old, rows),
        correct_answers(candidate, new, rows),
        np.asarray(classes)[new.labels[rows]],
        column(new.manifest, "group")[rows],
        np.ones(len(rows), bool),
        trained_on(before, new, rows) | trained_on(candidate, new, rows),
        gate,
    )
    if part.groups < gate.min_test or part.candidate is None or part.low is None:
        count, needed = part.groups, f"{gate.min_test} different ones are needed (gate.min_test)"
        raise BundleError(f"{name} is not promoted: {count} test images of {new.name} are too few; {needed}.")
    found = f"{100 * part.candidate:.1f} % of {part.images:,} test images of {new.name}"
    if part.candidate < gate.min_accuracy:
        least = f"{100 * gate.min_accuracy:g} % is the least (gate.min_accuracy)"
        raise BundleError(f"{name} is not promoted: it is right on {found}; {least}.")
    if production is None:
        return f"right on {found}"
    against = f"{points(part)} against {before.model_version}"
    if part.low < -gate.margin:
        margin = f"{100 * gate.margin:g} points (gate.margin)"
        raise BundleError(
            f"{name} is not promoted: it may be worse by more than {margin}: right on {found}, {against}."
        )
    return f"right on {found}, {against}"


def points(part: Part) -> str:
    """The difference with its interval, in points."""
    assert part.difference is not None
    assert part.low is not None
    assert part.high is not None
    return f"{100 * part.difference:+.1f} points ({100 * part.low:+.1f} to {100 * part.high:+.1f})"


def correct_answers(predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64]) -> Mask:
    """Whether a model's answers to images of a data set are correct; bool `[N]`."""
    logits, _ = predictor.logits(np.asarray(dataset.images[rows]))
    return np.asarray(logits.argmax(axis=1) == dataset.labels[rows])


def trained_on(predictor: Predictor, dataset: FaceDataset, rows: NDArray[np.int64]) -> Mask:
    """Test images that a model was trained on, or that are twins of its training images; bool `[N]`."""
    hashes = pq.read_table(predictor.bundle.file("train_hashes.parquet"))
    return find_training_twins(dataset.manifest, rows, hashes).near
