"""What a load test says on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlopsproject.load.locust_run import LocustResult, RequestFigures
from mlopsproject.load.logged import Comparison


def missed(figures: LocustResult, thresholds: Mapping[str, Any]) -> tuple[str, ...]:
    """The thresholds that were not kept, each as a sentence.

    Args:
        figures: of the test.
        thresholds: `max_failures`, `max_p99_ms` and `min_rps`; `None` does not look.
    """
    failures = sum(figures.reasons.values())
    found = (
        ("max_failures", failures, f"{failures:,} requests failed"),
        ("max_p99_ms", figures.total.p99_ms, f"p99 was {figures.total.p99_ms:,.0f} ms"),
        ("min_rps", figures.total.per_second, f"{figures.total.per_second:,.1f} requests per second were answered"),
    )
    sentences = []
    for key, value, sentence in found:
        bound = thresholds[key]
        if bound is not None and (value < bound if key.startswith("min") else value > bound):
            sentences.append(f"{sentence}, {key}={bound}.")
    return tuple(sentences)


def print_figures(console: Console, figures: LocustResult) -> None:
    """Print a table of the requests, what went wrong and how often, and how often the API was busy."""
    table = Table(title="load test")
    table.add_column("request")
    for name in ("requests", "failures", "RPS", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for kind in figures.kinds:
        table.add_row(*_cells(kind))
    table.add_section()
    table.add_row(*(f"[bold]{cell}" for cell in _cells(figures.total)))
    console.print(table)
    for reason, count in sorted(figures.reasons.items(), key=lambda item: -item[1]):
        console.print(f"{count:,} × {escape(reason)}", soft_wrap=True, highlight=False)
    console.print(
        f"Back-pressure: {figures.back_pressure:,} requests were told to come back later (503 with Retry-After).",
        soft_wrap=True,
        highlight=False,
    )


def print_comparison(console: Console, comparison: Comparison | None, output: Path) -> None:
    """Say whether what was answered is in the prediction log; write the ids that are not into a file."""
    if comparison is None:
        text = "Answered = logged was NOT checked: give database_url= to compare with the host's prediction log."
    elif comparison.is_equal and not comparison.answered:
        text = "Answered = logged: nothing was answered."
    elif comparison.is_equal:
        text = f"Answered = logged: all {comparison.answered:,} answers are in the prediction log, each once."
    else:
        path = output / "not_logged.txt"
        path.write_text("".join(f"{identifier}\n" for identifier in comparison.missing), encoding="ascii")
        text = (
            f"[bold red]failed:[/] of {comparison.answered:,} answers {len(comparison.missing):,} are not in the "
            f"prediction log, {len(comparison.twice):,} are there twice, and {len(comparison.repeated):,} ids were "
            f"given to several answers. Missing ids: {path}"
        )
    console.print(text, soft_wrap=True, highlight=False)


def _cells(kind: RequestFigures) -> tuple[str, ...]:
    times = (f"{value:,.0f}" for value in (kind.p50_ms, kind.p95_ms, kind.p99_ms))
    return escape(kind.name), f"{kind.requests:,}", f"{kind.failures:,}", f"{kind.per_second:,.1f}", *times
