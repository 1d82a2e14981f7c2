"""Latency of inference on one face on one CPU core."""

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
    """Measure the latency of predictors on single random pictures, from uint8 input to probabilities.

    Args:
        predictors: each opened with one thread.
        rounds: number of rounds, in each of which every predictor is timed on 50 pictures. The best round counts,
            because other load on the machine only slows a round down.
        seed: of the pictures.

    Returns:
        Milliseconds per picture of each predictor: the median of its best round.
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
            best[number] = min(best[number], _median_ms(predictor, pictures[number]))
    return best


def latency_of_bundle(bundle: str, store: str, rounds: int) -> dict[str, Any]:
    """Measure the latency of each of a bundle's precisions.

    Args:
        bundle: name, alias or folder.
        store: address of the store.
        rounds: see `measure_latency`.

    Returns:
        `bundle`, `parameters`, and for each precision `<precision>_ms`, milliseconds per picture.

    Raises:
        UserError: a missing or damaged bundle.
    """
    check_whole("latency.rounds", rounds, lowest=1)
    opened = resolve_bundle(bundle, store)
    precisions = list(opened.spec.precisions)
    times = measure_latency([Predictor(opened, precision) for precision in precisions], rounds=rounds)
    named = {f"{precision}_ms": round(value, 3) for precision, value in zip(precisions, times, strict=True)}
    return {"bundle": opened.name, "parameters": opened.spec.network.get("parameters"), **named}


def _median_ms(predictor: Predictor, pictures: np.ndarray) -> float:
    times = []
    for picture in pictures:
        start = time.perf_counter()
        predictor.probabilities(predictor.logits(picture)[0])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
