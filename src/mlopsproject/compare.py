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
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.comparison import (
    merge_rows,
    plot_comparison,
    read_rows,
    result_row,
    same_images,
    seed_summary,
    write_rows,
)
from mlopsproject.evaluation.evaluator import SPLITS, evaluate_bundle
from mlopsproject.evaluation.latency import measure_latency

log = logging.getLogger("mlopsproject.compare")

_PUBLISHED = ("name", "classes", "accuracy", "data")


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
    merged: list[Any] = read_rows(results)
    published = _published(settings["published"], settings["data"]["name"])
    predictors = _open(settings)
    latencies = measure_latency(predictors, seed=settings["seed"])
    rows = []
    for predictor, latency in zip(predictors, latencies, strict=True):
        log.info("Measuring %s, %s", predictor.model_version, predictor.precision)
        rows.append(result_row(predictor, _measure(predictor, settings, output), latency))
        # After each, so that an interruption costs one measurement.
        merged = merge_rows(merged, rows[-1:])
        write_rows(merged, results)
    for row in {row["class_names"]: row for row in rows}.values():
        truth = "" if row["labels"] == "given" else f"_{row['labels'].replace(' ', '_')}"
        figure = results.with_name(f"{results.stem}_{row['data']}{truth}_{row['classes']}.png")
        plot_comparison(same_images(merged, row), published, figure, classes=int(row["classes"]))
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
    check_choice("split", settings["split"], (*SPLITS, "all"))
    results = settings["results"]
    if not isinstance(results, str) or not results or Path(results).is_dir():
        raise ConfigError(f"results={results} is not possible.", "Give a CSV file, such as results/bundles.csv.")


def _published(path: object, data: str) -> list[dict[str, str]]:
    """What others published of the same data: rows whose `data` holds the data set's name, in any case."""
    if path is None:
        return []
    if not isinstance(path, str) or not Path(path).is_file():
        raise ConfigError(f"published={path}: there is no such file.", "Give a CSV file, or published=null.")
    return [row for row in read_rows(Path(path), _PUBLISHED) if data.casefold() in row["data"].casefold()]


def _open(settings: dict[str, Any]) -> list[Predictor]:
    """Open every bundle in every precision, once each whatever it is called."""
    store = settings["store"]["uri"]
    opened = {bundle.name: bundle for bundle in (resolve_bundle(name, store) for name in settings["bundles"])}
    return [Predictor(bundle, precision) for bundle in opened.values() for precision in settings["precisions"]]


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
