"""Put bundles side by side: `python -m mlopsproject.compare bundles=[a,b] data.name=N`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import output_folder, run_job, values
from mlopsproject.core.checks import check_choice, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.comparison import (
    merge_rows,
    plot_comparison,
    read_rows,
    result_row,
    seed_summary,
    write_rows,
)
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.latency import measure_latency

log = logging.getLogger("mlopsproject.compare")

_PUBLISHED = ("name", "classes", "accuracy")


def compare(config: DictConfig, output: Path) -> list[dict[str, Any]]:
    """Measure every bundle in every precision, add the rows to the table of results and draw it.

    Args:
        config: as composed from `configs/compare.yaml`.
        output: folder for each measurement's `metrics.json`.

    Returns:
        The rows that were measured.

    Raises:
        UserError: a missing or damaged bundle, data set or table, or a precision that a bundle lacks.
    """
    settings = values(config)
    _check(settings)
    results = Path(settings["results"])
    earlier = read_rows(results)
    published = read_rows(Path(settings["published"]), _PUBLISHED) if settings["published"] else []
    predictors = [
        Predictor.load(bundle, precision, store=settings["store"]["uri"])
        for bundle in settings["bundles"]
        for precision in settings["precisions"]
    ]
    latencies = measure_latency(predictors, seed=settings["seed"])
    rows = []
    for predictor, latency in zip(predictors, latencies, strict=True):
        log.info("Measuring %s, %s", predictor.model_version, predictor.precision)
        rows.append(result_row(predictor, _measure(predictor, settings, output), latency))
    merged = merge_rows(earlier, rows)
    write_rows(merged, results)
    same = [row for row in merged if (row["data"], row["split"]) == (rows[0]["data"], rows[0]["split"])]
    for classes in sorted({int(row["classes"]) for row in rows}):
        plot_comparison(same, published, results.with_name(f"{results.stem}_{classes}.png"), classes=classes)
    console = Console()
    console.print(_table(rows))
    for found in seed_summary(merged):
        name = f"{found['recipe']}, {found['precision']}, on {found['data']}/{found['split']}"
        mean, deviation = 100 * found["mean"], 100 * found["sd"]
        console.print(f"{name}: {mean:.1f} ± {deviation:.1f} % over {found['seeds']} seeds", soft_wrap=True)
    console.print(f"Results: {results}", soft_wrap=True, highlight=False)
    return rows


def _check(settings: dict[str, Any]) -> None:
    for key in ("robustness_images", "bootstrap_samples", "seed"):
        check_whole(key, settings[key], lowest=0)
    for key in ("bundles", "precisions"):
        if not isinstance(settings[key], list) or not settings[key]:
            raise ConfigError(f"{key}={settings[key]} is not possible.", f"Give a list, as in: -o '{key}=[a,b]'")
    for precision in settings["precisions"]:
        check_choice("precisions", precision, ("fp32", "int8"))
    if not settings["results"]:
        raise ConfigError("results= is missing.", "Give a CSV file, such as results/bundles.csv.")


def _measure(predictor: Predictor, settings: dict[str, Any], output: Path) -> dict[str, Any]:
    dataset = open_dataset(settings["data"], predictor.spec.input, classes=predictor.spec.classes, complete=False)
    return evaluate_bundle(
        predictor,
        dataset,
        settings["split"],
        output / f"{predictor.model_version}-{predictor.precision}",
        bootstrap_samples=settings["bootstrap_samples"],
        seed=settings["seed"],
        robustness_images=settings["robustness_images"],
        plots=False,
    )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Bundles side by side")
    table.add_column("bundle", overflow="fold")
    table.add_column("")
    for name in ("accuracy", "no twins", "flip TTA", "ECE", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        shares = (row[key] for key in ("accuracy", "accuracy_without_twins", "accuracy_flip_tta", "ece"))
        cells = ["-" if share is None else f"{100 * share:.1f}" for share in shares]
        table.add_row(str(row["bundle"]), str(row["precision"]), *cells, f"{row['latency_ms']:.2f}")
    return table


def main() -> None:
    """Run from the command line."""
    run_job("compare", lambda config: compare(config, output_folder()))


if __name__ == "__main__":
    main()
