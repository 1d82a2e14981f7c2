"""Measure speed, parity and power: `python -m mlopsproject.benchmark what=NAME`; `WHAT` lists the names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import output_folder, run_job, values
from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import UserError
from mlopsproject.data.benchmark import benchmark_import
from mlopsproject.evaluation.latency import latency_of_bundle
from mlopsproject.evaluation.litert_latency import latency_of_litert

#: The key of figures that are held against something.
BARS: Final = "bars"
#: The key of figures that are printed as rows and columns.
MATRIX: Final = "matrix"


class BarMissedError(UserError):
    """Something is slower, larger or weaker than it should be."""


def benchmark(config: DictConfig, output: Path) -> dict[str, Any]:
    """Measure what the config names, print a table and write `benchmark.json`.

    Raises:
        ConfigError: if `what` is unknown.
    """
    settings = values(config)
    what = settings["what"]
    check_choice("what", what, WHAT)
    figures = WHAT[what](settings[what])
    output.mkdir(parents=True, exist_ok=True)
    (output / "benchmark.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console = Console()
    console.print(_table(what, figures))
    if MATRIX in figures:
        console.print(_matrix(figures[MATRIX]))
    if BARS in figures:
        console.print(_bars(figures[BARS]))
    console.print(f"Figures: {output / 'benchmark.json'}", soft_wrap=True, highlight=False)
    return figures


def _train(settings: dict[str, Any]) -> dict[str, Any]:
    # PyTorch takes seconds to import, here and below, which a typo in a key need not wait for.
    from mlopsproject.training.benchmark import benchmark_cases

    return benchmark_cases(**settings)


def _import(settings: dict[str, Any]) -> dict[str, Any]:
    return benchmark_import(**settings)


def _parity(settings: dict[str, Any]) -> dict[str, Any]:
    from mlopsproject.training.parity import parity_of_run

    return parity_of_run(**settings)


def _latency(settings: dict[str, Any]) -> dict[str, Any]:
    return latency_of_bundle(**settings)


def _litert(settings: dict[str, Any]) -> dict[str, Any]:
    return latency_of_litert(**settings)


def _drift(settings: dict[str, Any]) -> dict[str, Any]:
    # Statistics and Evidently.
    from mlopsproject.monitoring.power import benchmark_drift

    return benchmark_drift(**settings)


def _stats(settings: dict[str, Any]) -> dict[str, Any]:
    # The prediction log's libraries.
    from mlopsproject.load.stats_benchmark import benchmark_stats

    return benchmark_stats(**settings)


def _drift_log(settings: dict[str, Any]) -> dict[str, Any]:
    # The prediction log's libraries.
    from mlopsproject.load.drift_benchmark import benchmark_drift_log

    return benchmark_drift_log(**settings)


def _peers(settings: dict[str, Any]) -> dict[str, Any]:
    # scikit-learn, and PyArrow.
    from mlopsproject.evaluation.peers import benchmark_peers

    return benchmark_peers(**settings)


def _serving(settings: dict[str, Any]) -> dict[str, Any]:
    # A server's libraries, and a second for them.
    from mlopsproject.load.serving_benchmark import benchmark_serving

    return benchmark_serving(**settings)


def _lambda(settings: dict[str, Any]) -> dict[str, Any]:
    # Processes and their libraries.
    from mlopsproject.load.lambda_benchmark import benchmark_lambda

    return benchmark_lambda(**settings)


def _containers(settings: dict[str, Any]) -> dict[str, Any]:
    # Processes and their libraries.
    from mlopsproject.load.container_benchmark import benchmark_containers

    return benchmark_containers(**settings)


WHAT = {
    "train": _train,
    "import": _import,
    "parity": _parity,
    "latency": _latency,
    "litert": _litert,
    "serving": _serving,
    "drift": _drift,
    "drift_log": _drift_log,
    "stats": _stats,
    "containers": _containers,
    "lambda": _lambda,
    "peers": _peers,
}


def _table(what: str, figures: dict[str, Any]) -> Table:
    table = Table(title=f"benchmark what={what}")
    table.add_column("")
    table.add_column("measured", justify="right")
    for name, value in figures.items():
        if name in (BARS, MATRIX):
            continue
        if isinstance(value, dict):
            table.add_section()
            table.add_row(f"[bold]{name}", "")
            for key, inner in value.items():
                table.add_row(f"  {key}", _number(inner))
        else:
            table.add_row(name, _number(value))
    return table


def _matrix(matrix: dict[str, dict[str, Any]]) -> Table:
    table = Table()
    table.add_column("")
    for column in next(iter(matrix.values())):
        table.add_column(column, justify="right")
    for name, cells in matrix.items():
        table.add_row(name, *(_number(cell) for cell in cells.values()))
    return table


def _bars(bars: dict[str, dict[str, Any]]) -> Table:
    """What was measured beside what it should be; figures without a bar are only shown."""
    table = Table(title="bars")
    table.add_column("")
    for column in ("measured", "bar"):
        table.add_column(column, justify="right")
    table.add_column("")
    for name, figure in bars.items():
        verdict = {True: "[green]met", False: "[bold red]missed", None: ""}[figure["met"]]
        table.add_row(name, _number(figure["measured"]), figure["bar"] or "", verdict)
    return table


def _number(value: Any) -> str:
    if value is None:  # nothing to measure
        return "-"
    if not isinstance(value, float):
        return str(value)
    if 0 < abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def check_bars(figures: Mapping[str, Any]) -> None:
    """Look whether what was measured is as good as it should be.

    Args:
        figures: as `benchmark` returns them.

    Raises:
        BarMissedError: naming each figure that is not.
    """
    missed = [
        f"{name}: {_number(figure['measured'])}, the bar is {figure['bar']}"
        for name, figure in figures.get(BARS, {}).items()
        if figure["met"] is False
    ]
    if missed:
        count = "1 bar is" if len(missed) == 1 else f"{len(missed)} bars are"
        raise BarMissedError(f"{count} missed. {'; '.join(missed)}.", "Other work on this machine may be why.")


def main() -> None:
    """Run from the command line; fails if a bar is missed."""
    run_job("benchmark", lambda config: check_bars(benchmark(config, output_folder())))


if __name__ == "__main__":
    main()
