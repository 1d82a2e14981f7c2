"""What the figures of benchmarks are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from mlopsproject.load.sides import ColdStart, Turn

_LOWEST: Final = ">="
_HIGHEST: Final = "<="


def at_most(measured: float, largest: float) -> dict[str, Any]:
    """A figure with the most that it may be, as `bars` gives them."""
    return {"measured": measured, "bar": f"{_HIGHEST} {largest:.4g}", "met": measured <= largest}


def bars(turns: Mapping[str, Sequence[Turn]], starts: Sequence[ColdStart]) -> dict[str, dict[str, Any]]:
    """Every figure that can be told from what was measured, with its bar.

    Args:
        turns: of each side. The best counts in requests per second, the median in CPU time: other work on the machine
            only ever takes turns away, but caches and clock speeds shift what a request costs either way.
        starts: cold ones of the API.

    Returns:
        By name: `measured`, `bar` (text; `None` for a figure that is only shown) and `met`.
    """
    best = {side: max(turn.measured.per_second for turn in taken) for side, taken in turns.items()}
    cpu = {side: median(turn.measured.cpu_ms for turn in taken) for side, taken in turns.items()}
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, measured: float, sign: str = "", bound: float | None = None) -> None:
        met = None if bound is None else measured >= bound if sign == _LOWEST else measured <= bound
        found[name] = {"measured": measured, "bar": None if bound is None else f"{sign} {bound:g}", "met": met}

    if "api" not in best:
        return found
    baselines = (
        ("minimal", "minimal route", 0.75),
        ("reload", "model loaded per request", 5.0),
        ("litserve", "LitServe", 1.2),
    )
    for side, name, bound in baselines:
        if side in best:
            add(f"RPS: API / {name}", best["api"] / best[side], _LOWEST, bound)
            add(f"CPU time per request: {name} / API", cpu[side] / cpu["api"])
    if "log_off" in best:
        add("share of RPS that the durable log costs", 1 - best["api"] / best["log_off"], _HIGHEST, 0.2)
        add("share of CPU time that the durable log costs", 1 - cpu["log_off"] / cpu["api"])
    if "two_workers" in cpu:
        add("CPU time per request: two workers / one", cpu["two_workers"] / cpu["api"], _HIGHEST, 1.1)
    half_load = [turn.half_load for turn in turns["api"] if turn.half_load is not None]
    if half_load:
        ratio = min(measured.p99_ms / measured.p50_ms for measured in half_load)
        add("p99 / p50 at half of peak load", ratio, _HIGHEST, 5.0)
    if starts:
        add("cold start to first answer, s", min(start.seconds for start in starts), _HIGHEST, 3.0)
        add("CPU time of a cold start, s", min(start.cpu_seconds for start in starts))
    ours = [turn for side in ("api", "two_workers") for turn in turns.get(side, ())]
    add("resident memory per worker, MB", max(turn.memory_mb for turn in ours), _HIGHEST, 250.0)
    heavy = frozenset[str]().union(*(turn.heavy for turn in ours))
    add("torch, pandas, pyarrow loaded by a worker", len(heavy), _HIGHEST, 0)
    return found
