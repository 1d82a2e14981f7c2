"""Latency of inference on one face on one CPU core."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.checks import check_whole
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.spec import InputSpec

#: Gives the probabilities of one picture, uint8 `[1, C, size, size]`.
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float64]]

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
    answers = [answer_of(predictor) for predictor in predictors]
    return measure_answers(answers, [predictor.spec.input for predictor in predictors], rounds=rounds, seed=seed)


def measure_answers(
    answers: Sequence[Answer], inputs: Sequence[InputSpec], *, rounds: int = 10, seed: int = 0
) -> list[float]:
    """As `measure_latency`, of anything that answers on one thread.

    Args:
        answers: what is timed.
        inputs: what each takes.
        rounds: see `measure_latency`.
        seed: of the pictures.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for answer, entry in zip(answers, inputs, strict=True):
        pictures.append(rng.integers(0, 256, (_RUNS, 1, entry.channels, entry.size, entry.size), dtype=np.uint8))
        for index in range(_WARM_UP):
            answer(pictures[-1][index % _RUNS])
    best = [float("inf")] * len(answers)
    for _ in range(rounds):
        for number, answer in enumerate(answers):
            best[number] = min(best[number], _median_ms(answer, pictures[number]))
    return best


def answer_of(predictor: Predictor) -> Answer:
    """What a Predictor does with one picture, from pixels to probabilities."""
    return lambda picture: predictor.probabilities(predictor.logits(picture)[0])


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


def _median_ms(answer: Answer, pictures: NDArray[np.uint8]) -> float:
    times = []
    for picture in pictures:
        start = time.perf_counter()
        answer(picture)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
