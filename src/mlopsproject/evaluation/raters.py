"""What a model says beside what several raters said, and how far they agree among themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.votes import NO_CLASS, LabelRule, Votes

FloatArray = NDArray[np.float64]

#: Lower bound of probabilities in the cross entropy, to keep it finite.
_TINY = 1e-12


def two_raters_agree(counts: NDArray[np.int64]) -> float | None:
    """How often two raters of the same picture say the same, 0-1; `None` if nobody shares a picture.

    Args:
        counts: int64 `[N, V]`, votes per picture.
    """
    return _mean_over_raters(counts, lambda votes, choice: (votes[:, choice] - 1) / (votes.sum(axis=1) - 1))


def rater_against_others(counts: NDArray[np.int64]) -> float | None:
    """How often a single rater says what most of the others say, 0-1; in a tie of theirs, that share of it.

    It is what a person reaches against this truth, as a model's accuracy is. `None` if nobody shares a picture.

    Args:
        counts: int64 `[N, V]`, votes per picture.
    """

    def agrees(votes: NDArray[np.int64], choice: int) -> FloatArray:
        others = votes.copy()
        others[:, choice] -= 1
        most = others.max(axis=1)
        return np.where(others[:, choice] == most, 1 / (others == most[:, None]).sum(axis=1), 0.0)

    return _mean_over_raters(counts, agrees)


def _mean_over_raters(
    counts: NDArray[np.int64], agrees: Callable[[NDArray[np.int64], int], FloatArray]
) -> float | None:
    """Mean over pictures of several raters, and over their raters, of how far one who made a choice agrees."""
    votes = counts[counts.sum(axis=1) > 1]
    if not len(votes):
        return None
    # As many raters as made a choice are in its place.
    found = np.stack([votes[:, choice] * agrees(votes, choice) for choice in range(votes.shape[1])], axis=1)
    return float((found.sum(axis=1) / votes.sum(axis=1)).mean())


def rater_metrics(
    votes: Votes, rows: NDArray[np.int64], probabilities: FloatArray, classes: Sequence[str], rule: LabelRule
) -> dict[str, Any] | None:
    """Compare probabilities with the raters' distribution over the model's classes.

    Args:
        votes: of the data set.
        rows: int64 `[N]`, of the pictures that were scored.
        probabilities: float64 `[N, K]`.
        classes: of the model.
        rule: which votes count.

    Returns:
        `None` if nobody voted for one of the classes, else over the `images` that somebody did: `cross_entropy` of the
        probabilities to the distribution, in nats, and its lower bound, the distribution's own `entropy`; `top2`, how
        often one of the two likeliest classes is the raters' first; `agrees_with_a_rater`, how often a rater drawn at
        random said what the model says; and of the raters themselves `two_raters_agree` and `rater_against_others`.
    """
    counts = np.stack(
        [
            votes.kept(rule)[rows, votes.names.index(name)] if name in votes.names else np.zeros(len(rows), np.int64)
            for name in classes
        ],
        axis=1,
    )
    total = counts.sum(axis=1)
    some = total > 0
    if not some.any():
        return None
    said, shares = probabilities[some], counts[some] / total[some][:, None]
    place = np.arange(len(shares))
    ranked = said.argsort(axis=1)
    every = votes.counts[rows][some]
    of_model = np.array([votes.names.index(name) if name in votes.names else -1 for name in classes])[ranked[:, -1]]
    chose_it = np.where(of_model >= 0, every[place, of_model], 0) / every.sum(axis=1)
    return {
        "images": int(some.sum()),
        "cross_entropy": float(-(shares * np.log(np.maximum(said, _TINY))).sum(axis=1).mean()),
        "entropy": float(-(shares * np.log(np.maximum(shares, _TINY))).sum(axis=1).mean()),
        "top2": float((ranked[:, -2:] == shares.argmax(axis=1)[:, None]).any(axis=1).mean()),
        "agrees_with_a_rater": float(chose_it.mean()),
        "two_raters_agree": two_raters_agree(every),
        "rater_against_others": rater_against_others(every),
    }


def other_class_metrics(names: NDArray[np.object_], confidence: FloatArray, threshold: float) -> dict[str, Any] | None:
    """How often pictures of classes that the model does not know come back as uncertain.

    Args:
        names: `[N]`, their classes.
        confidence: float64 `[N]`, 0-1, of the model's answers.
        threshold: below it an answer is uncertain.

    Returns:
        `images`, `uncertain` (share), and the same `per_class`; `None` without pictures.
    """
    if not len(names):
        return None
    uncertain = confidence < threshold
    per_class = {
        str(name): {"images": int((names == name).sum()), "uncertain": float(uncertain[names == name].mean())}
        for name in sorted(set(names.tolist()) - set(NO_CLASS))
    }
    return {"images": len(names), "uncertain": float(uncertain.mean()), "per_class": per_class}
