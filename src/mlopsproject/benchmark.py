"""Measure speed: `python -m mlopsproject.benchmark what=train|import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import load_config, output_folder, run_job, values
from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import ConfigError, nearest
from mlopsproject.data.benchmark import benchmark_import
from mlopsproject.data.opening import input_spec, open_dataset
from mlopsproject.training.benchmark import benchmark_training
from mlopsproject.training.hardware import choose_compute

WHAT = ("train", "import")


def benchmark(config: DictConfig, output: Path) -> dict[str, Any]:
    """Measure what the config names, print a table and write `benchmark.json`.

    Raises:
        ConfigError: if `what` is unknown.
    """
    settings = values(config)
    what = settings["what"]
    if what not in WHAT:
        raise ConfigError(f"what={what!r} is not known;", nearest(str(what), WHAT) or f"choose {' or '.join(WHAT)}.")
    figures = _train(settings["train"]) if what == "train" else benchmark_import(**settings["import"])
    output.mkdir(parents=True, exist_ok=True)
    (output / "benchmark.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    console = Console()
    console.print(_table(what, figures))
    console.print(f"Figures: {output / 'benchmark.json'}", soft_wrap=True, highlight=False)
    return figures


def _train(settings: dict[str, Any]) -> dict[str, Any]:
    """Every case of `benchmark.train.cases`, with the rest of `configs/train.yaml` as it is."""
    figures: dict[str, Any] = {}
    for case in settings["cases"]:
        overrides = [f"model={case['model']}", f"data.size={case['size']}", *settings["overrides"]]
        training = values(load_config("train", [*overrides, "~logger"]))
        trainer = training["trainer"]
        compute = choose_compute(
            trainer["accelerator"], trainer["precision"], trainer["channels_last"], trainer["compile"]
        )
        spec = input_spec(training["data"])
        dataset = open_dataset(training["data"], spec, classes=resolve_classes(training["classes"]))
        speeds = benchmark_training(dataset, spec, training, compute, images=case["images"], rounds=settings["rounds"])
        name = f"{case['model']} at {case['size']} px, {compute.precision}{', compiled' if compute.compile else ''}"
        measured = {f"{side}, images/s": speed for side, speed in vars(speeds).items()}
        figures[name] = {**measured, **speeds.ratios}
    return figures


def _table(what: str, figures: dict[str, Any]) -> Table:
    table = Table(title=f"benchmark what={what}")
    table.add_column("")
    table.add_column("measured", justify="right")
    for name, value in figures.items():
        if isinstance(value, dict):
            table.add_section()
            table.add_row(f"[bold]{name}", "")
            for key, inner in value.items():
                table.add_row(f"  {key}", _number(inner))
        else:
            table.add_row(name, _number(value))
    return table


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    """Run from the command line."""
    run_job("benchmark", lambda config: benchmark(config, output_folder()))


if __name__ == "__main__":
    main()
