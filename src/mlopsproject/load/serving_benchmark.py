"""The API against plain ways of serving the same network, on this machine, in one run."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.load.bars import bars
from mlopsproject.load.baselines import PATH
from mlopsproject.load.client import save_requests
from mlopsproject.load.pictures import draw_faces, encode, form, upload
from mlopsproject.load.sides import SIDES, Bench, Turn

logger = logging.getLogger(__name__)

_FACE_SIDE: Final = 64


def benchmark_serving(
    bundle: str,
    store: str,
    precision: str,
    sides: Sequence[str],
    rounds: int,
    seconds: float,
    warmup: float,
    connections: int,
    faces: int,
    starts: int,
    folder: Path = Path("runs"),
) -> dict[str, Any]:
    """Measure all sides in turns, each started afresh and pinned to one core, with the client on another.

    Args:
        bundle: name, alias or folder.
        store: where bundles are.
        precision: `fp32` or `int8`.
        sides: some of `sides.SIDES`.
        rounds: turns of each side; the best counts, because other work on the machine only ever slows a side down.
        seconds: measured per turn.
        warmup: seconds of each turn before these.
        connections: requests at the same time.
        faces: different pictures.
        starts: cold starts; the fastest counts.
        folder: where the servers write meanwhile. Its disk decides what a durable log costs.

    Returns:
        `machine`, `cores`, `bundle`, `precision`, `client` (what the client can do), the figures of each side, and
        `bars` (see `bars.bars`).

    Raises:
        UserError: for an impossible key, a missing bundle, or a side that does not answer as it should.
    """
    _check(sides, rounds, seconds, warmup, connections, faces, starts, precision)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        logger.warning("There is one core for both server and client: what is measured in requests/s is too low.")
    opened = resolve_bundle(bundle, store)
    opened.model_file(precision)  # type: ignore[arg-type]  # checked
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-serving-", dir=folder) as scratch:
        requests = Path(scratch).resolve() / "requests"
        save_requests([upload(form([encode(face)]), PATH) for face in draw_faces(faces, side=_FACE_SIDE)], requests)
        bench = Bench(opened, precision, requests.parent, requests, cores[0], cores[-1], seconds, warmup, connections)
        about = {"machine": cpu_name(), "cores": min(2, len(cores)), "bundle": opened.name, "precision": precision}
        return about | _measure(bench, sides, rounds, starts)


def _check(
    sides: Sequence[str],
    rounds: int,
    seconds: float,
    warmup: float,
    connections: int,
    faces: int,
    starts: int,
    precision: str,
) -> None:
    if not sides:
        raise ConfigError("serving.sides=[] is not possible.", f"Give some of {', '.join(SIDES)}.")
    for side in sides:
        check_choice("serving.sides", side, SIDES)
    check_choice("serving.precision", precision, ("fp32", "int8"))
    check_whole("serving.rounds", rounds, lowest=1)
    check_number("serving.seconds", seconds, open_ends=True)
    check_number("serving.warmup", warmup)
    check_whole("serving.connections", connections, lowest=1, highest=1000)
    check_whole("serving.faces", faces, lowest=1)
    check_whole("serving.starts", starts, lowest=0)


def _measure(bench: Bench, sides: Sequence[str], rounds: int, starts: int) -> dict[str, Any]:
    client = bench.turn("trivial").measured
    logger.info("client: %.0f requests/s against a route that does nothing", client.per_second)
    turns: dict[str, list[Turn]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in turns:
            turn = bench.turn(side)
            turns[side].append(turn)
            logger.info(
                "round %d, %s: %.0f requests/s, %.2f ms of CPU each",
                number + 1,
                side,
                turn.measured.per_second,
                turn.measured.cpu_ms,
            )
    cold = [bench.cold_start() for _ in range(starts)]
    figures: dict[str, Any] = {
        "client": {"requests/s against a route that does nothing": client.per_second},
        **{side: _figures(taken) for side, taken in turns.items()},
        **_half_load(turns.get("api", ())),
    }
    if cold:
        seconds = [start.seconds for start in cold]
        figures["cold starts"] = {"fastest, s": min(seconds), "slowest, s": max(seconds)}
    return figures | {"bars": bars(turns, cold)}


def _half_load(turns: Sequence[Turn]) -> dict[str, Any]:
    measured = [turn.half_load for turn in turns if turn.half_load is not None]
    if not measured:
        return {}
    best = min(measured, key=lambda each: each.p99_ms / each.p50_ms)
    figures = {"requests/s": best.per_second, "p50, ms": best.p50_ms, "p99, ms": best.p99_ms}
    return {"api at half of its peak": figures}


def _figures(turns: Sequence[Turn]) -> dict[str, Any]:
    """One side's figures: of its best turn, and the span of all; of CPU time the median."""
    best = max(turns, key=lambda turn: turn.measured.per_second)
    figures: dict[str, Any] = {
        "requests/s": best.measured.per_second,
        "median of turns": median(turn.measured.per_second for turn in turns),
        "slowest turn": min(turn.measured.per_second for turn in turns),
        "p50, ms": best.measured.p50_ms,
        "p99, ms": best.measured.p99_ms,
        "CPU per request, ms": median(turn.measured.cpu_ms for turn in turns),
        "memory of a worker, MB": max(turn.memory_mb for turn in turns),
    }
    pending = [turn.pending for turn in turns if turn.pending is not None]
    return figures | ({"rows not yet in the database at the end": max(pending)} if pending else {})
