"""Score a bundle on a data set: `python -m mlopsproject.evaluate bundle=URI data.name=N split=test`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, output_folder, require, run_job, values
from mlopsproject.core.checks import check_whole
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.report import write_report
from mlopsproject.evaluation.tables import metrics_table
from mlopsproject.evaluation.tracking import check_wandb, log_evaluation

log = logging.getLogger("mlopsproject.evaluate")


def evaluate(config: DictConfig, output: Path) -> dict[str, Any]:
    """Evaluate as the config says.

    Args:
        config: as composed from `configs/evaluate.yaml`.
        output: folder for `metrics.json`, `plots/` and `report.html`.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: a missing or damaged bundle or data set, an unknown split, classes that do not fit.
    """
    settings = values(config)
    for key, lowest in (
        ("batch_size", 1),
        ("bootstrap_samples", 0),
        ("threads", 1),
        ("seed", 0),
        ("robustness_images", 0),
    ):
        check_whole(key, settings[key], lowest=lowest)
    check_wandb(settings["wandb"])
    predictor = Predictor.load(
        require(settings, "bundle"),
        precision=settings["precision"],
        store=settings["store"]["uri"],
        threads=settings["threads"],
    )
    dataset = open_dataset(settings["data"], predictor.spec.input, classes=predictor.spec.classes, complete=False)
    metrics = evaluate_bundle(
        predictor,
        dataset,
        settings["split"],
        output,
        bootstrap_samples=settings["bootstrap_samples"],
        seed=settings["seed"],
        batch_size=settings["batch_size"],
        robustness_images=settings["robustness_images"],
        examples=settings["examples"],
    )
    report = write_report(metrics, output, command=command_line("evaluate"))
    Console().print(metrics_table(metrics))
    log.info("Report: %s", report)
    log_evaluation(settings["wandb"], metrics, output)
    return metrics


def main() -> None:
    """Run from the command line."""
    run_job("evaluate", lambda config: evaluate(config, output_folder()))


if __name__ == "__main__":
    main()
