"""Train, validation and test without leaks: twins never straddle a split that this module draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import DataError

SPLITS: Final = ("train", "validation", "test")
SPLIT_METHODS: Final = ("grouped", "official")
_GROUPED_SHARES: Final = (0.8, 0.1, 0.1)
_HELD_OUT: Final = 0.1

Names = NDArray[np.str_]
Indices = NDArray[np.int64]


def assign_splits(
    method: str, labels: Indices, group: Indices, source_splits: Sequence[str] | Names, seed: int
) -> Names:
    """Say for every image whether it trains, validates or tests.

    `grouped` draws 80/10/10, stratified by class. `official` keeps a published test split as test and a published
    validation split as validation; with only train + validation the published validation becomes test; whenever
    validation is missing then, a grouped tenth of train becomes validation.

    Args:
        method: `grouped` or `official`.
        labels: int64 `[N]`, any numbering of the classes.
        group: int64 `[N]`, equal for twins.
        source_splits: `[N]` of `train`, `validation`, `test` or `""`, as published.
        seed: same seed, same split.

    Returns:
        `[N]` of `train`, `validation`, `test`.

    Raises:
        ConfigError: unknown method.
        DataError: `official` without published splits to follow.
    """
    check_choice("split", method, SPLIT_METHODS)
    if method == "grouped":
        return draw_grouped(labels, group, _GROUPED_SHARES, np.random.default_rng(seed))
    return _official(labels, group, np.asarray(source_splits, dtype="U10"), np.random.default_rng(seed))


def extend_splits(labels: Indices, group: Indices, kept: Names, seed: int) -> Names:
    """Draw splits for new images beside others that keep theirs.

    New images whose group has members with a split join them, in test before validation before train, so that no twin
    of a test image is trained on. The others are drawn 80/10/10, whole groups at a time, stratified by class.

    Args:
        labels: int64 `[N]`, any numbering of the classes.
        group: int64 `[N]`, equal for twins.
        kept: `[N]` of `train`, `validation`, `test`, or `""` for new images.
        seed: same seed, same split.

    Returns:
        `[N]` of `train`, `validation`, `test`.
    """
    result = kept.copy()
    is_new = kept == ""
    for split in SPLITS:
        # Later ones go over earlier ones.
        result[is_new & np.isin(group, group[kept == split])] = split
    free = np.flatnonzero(result == "")
    result[free] = draw_grouped(labels[free], group[free], _GROUPED_SHARES, np.random.default_rng(seed))
    return result


def draw_grouped(labels: Indices, group: Indices, shares: Sequence[float], rng: np.random.Generator) -> Names:
    """Draw splits class by class, whole groups at a time; a group counts for its most frequent class.

    Args:
        labels: int64 `[N]`.
        group: int64 `[N]`.
        shares: of train, validation and test; they add up to 1.
        rng: source of chance.

    Returns:
        `[N]` of `train`, `validation`, `test`.
    """
    unique, member = np.unique(group, return_inverse=True)
    sizes = np.bincount(member, minlength=len(unique))
    votes = np.zeros((len(unique), int(labels.max(initial=0)) + 1), np.int32)
    np.add.at(votes, (member, labels), 1)
    group_label = votes.argmax(axis=1)
    chosen = np.zeros(len(unique), np.int8)
    for label in np.unique(group_label):
        mine = rng.permutation(np.flatnonzero(group_label == label))
        mine = mine[np.argsort(-sizes[mine], kind="stable")]
        chosen[mine] = _fill(sizes[mine], shares)
    return np.array(SPLITS)[chosen[member]]


def _fill(sizes: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int8]:
    """Deal groups, largest first, to the split that lacks the largest share of its target."""
    total = int(sizes.sum())
    held_out = [
        max(1, round(total * share)) if share and len(sizes) >= len(SPLITS) else round(total * share)
        for share in shares[1:]
    ]
    target = np.array([total - sum(held_out), *held_out], float)
    left = target.copy()
    chosen = np.zeros(len(sizes), np.int8)
    large = int(np.count_nonzero(sizes > 1))
    for index in range(large):
        fits = left >= sizes[index]
        need = np.where(fits, left / np.maximum(target, 1), -1.0)
        # A group too large for every split goes where most is left: to train, in practice.
        chosen[index] = split = int(need.argmax()) if fits.any() else int(left.argmax())
        left[split] -= sizes[index]
    singles = len(sizes) - large
    room = np.maximum(left, 0).astype(int)
    test = min(singles, room[2])
    validation = min(singles - test, room[1])
    chosen[large : large + test] = 2
    chosen[large + test : large + test + validation] = 1
    return chosen


def _official(labels: Indices, group: Indices, published: Names, rng: np.random.Generator) -> Names:
    found = set(np.unique(published))
    lost = int((published == "").sum())
    if found <= {"", "train"} or "train" not in found:
        names = ", ".join(sorted(found - {""})) or "none"
        raise DataError(
            f"split=official needs a published train split and a validation or test split; found: {names}.",
            "Use split=grouped.",
        )
    if lost:
        raise DataError(
            f"split=official: {lost} pictures lie outside the train, validation and test folders.", "Use split=grouped."
        )
    result = published.copy()
    if "test" not in found:
        result[published == "validation"] = "test"
    if not (result == "validation").any():
        train = result == "train"
        # Train images with twins in test stay in train, so that validation is as clean as can be.
        free = np.flatnonzero(train & ~np.isin(group, group[~train]))
        share = min(1.0, _HELD_OUT * int(train.sum()) / max(len(free), 1))
        drawn = draw_grouped(labels[free], group[free], (1 - share, share, 0.0), rng)
        result[free[drawn == "validation"]] = "validation"
    return result
