"""Class balance without copies on disk: an epoch is a list of row numbers, in which rare classes may come up often."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import ConfigError

STRATEGIES: Final = ("none", "weighted", "fixed")


def epoch_indices(
    labels: NDArray[np.int64], strategy: str, *, per_class: int | None = None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Plan one epoch over images with these labels, in random order.

    Strategies:
        `none`: every image once.
        `weighted`: as many images as there are, drawn with replacement so that every class is equally likely.
        `fixed`: exactly `per_class` images of every class. A class with more is sub-sampled without replacement; a
            class with fewer repeats each image equally often (to within one), which augmentation then varies.

    Args:
        labels: int64 `[N]`, classes of the training images, all >= 0.
        strategy: one of `STRATEGIES`.
        per_class: images per class and epoch, for `fixed`.
        rng: source of chance; a fresh draw per epoch gives sub-sampled classes new images each time.

    Returns:
        int64 positions into `labels`.

    Raises:
        ConfigError: unknown strategy, or `fixed` without a positive `per_class`.
    """
    check_choice("data.balance", strategy, STRATEGIES)
    if strategy == "none":
        return rng.permutation(len(labels))
    if strategy == "weighted":
        counts = np.bincount(labels)
        weights = 1.0 / (np.count_nonzero(counts) * counts[labels])
        return rng.choice(len(labels), size=len(labels), p=weights)
    if per_class is None or per_class < 1:
        raise ConfigError(f"data.per_class={per_class} is not possible.", "Give the images per class, such as 10000.")
    plan = [_bring_to(np.flatnonzero(labels == label), per_class, rng) for label in np.unique(labels)]
    return rng.permutation(np.concatenate(plan)) if plan else np.empty(0, np.int64)


def _bring_to(rows: NDArray[np.int64], wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Repeat all rows as often as they fit, then draw the rest without replacement."""
    whole, rest = divmod(wanted, len(rows))
    return np.concatenate([np.tile(rows, whole), rng.choice(rows, size=rest, replace=False)])
