"""How long one face takes on one core."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlopsproject.core.checks import check_whole
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle

_WARM_UP = 30
_RUNS = 50


def measure_latency(predictors: Sequence[Predictor], *, rounds: int = 10, seed: int = 0) -> list[float]:
    """Time predictors in turns on single pictures, from pixels to probabilities.

    Args:
        predictors: each opened with one thread.
        rounds: every predictor has as many turns, of 50 pictures each. The best turn counts: what slows a turn down is
            other work on the machine.
        seed: of the pictures.

    Returns:
        Milliseconds per picture of each predictor, the median of its best turn.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for predictor in predictors:
        entry = predictor.spec.input
        pictures.append(rng.integers(0, 256, (_RUNS, 1, entry.channels, entry.size, entry.size), dtype=np.uint8))
        for index in range(_WARM_UP):
            predictor.logits(pictures[-1][index % _RUNS])
    best = [float("inf")] * len(predictors)
    for _ in range(rounds):
        for number, predictor in enumerate(predictors):
            best[number] = min(best[number], _median_of_turn(predictor, pictures[number]))
    return best


def latency_of_bundle(bundle: str, store: str, rounds: int) -> dict[str, Any]:
    """Time a bundle's precisions.

    Args:
        bundle: name, alias or folder.
        store: where bundles are.
        rounds: see `measure_latency`.

    Returns:
        `bundle`, and for each precision `<precision>_ms` per picture.

    Raises:
        UserError: a missing or damaged bundle.
    """
    check_whole("latency.rounds", rounds, lowest=1)
    opened = resolve_bundle(bundle, store)
    precisions = list(opened.spec.precisions)
    times = measure_latency([Predictor(opened, precision) for precision in precisions], rounds=rounds)
    named = {f"{precision}_ms": round(value, 3) for precision, value in zip(precisions, times, strict=True)}
    return {"bundle": opened.name, "parameters": opened.spec.network.get("parameters"), **named}


def _median_of_turn(predictor: Predictor, pictures: np.ndarray) -> float:
    times = []
    for picture in pictures:
        start = time.perf_counter()
        predictor.probabilities(predictor.logits(picture)[0])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
