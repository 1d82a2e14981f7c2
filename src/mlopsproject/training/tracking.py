"""A run's loggers: CSV always, Weights & Biases when asked for, and what a finished run sends there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from mlopsproject.core.bundle import Bundle
from mlopsproject.evaluation.tracking import check_wandb, log_metrics
from mlopsproject.training.factory import build

#: What the CSV logger calls its file.
CURVES = "metrics.csv"


def build_loggers(
    loggers: Mapping[str, Mapping[str, Any]],
    wandb_settings: Mapping[str, Any],
    output: Path,
    config: Mapping[str, Any],
) -> list[Logger]:
    """The run's loggers.

    Args:
        loggers: the `logger` group, one entry per logger; its `save_dir` is the run's folder unless it says otherwise.
        wandb_settings: `enabled`, `mode`, `project`, `entity`, `group`.
        output: the run's folder; W&B's local files go there as well.
        config: the whole config, logged as the run's.

    Raises:
        ConfigError: for an unknown W&B mode, or `online` without a login.
    """
    check_wandb(wandb_settings)
    built: list[Logger] = [build({"save_dir": str(output), **settings}) for settings in loggers.values()]
    if wandb_settings["enabled"]:
        built.append(
            WandbLogger(
                project=wandb_settings["project"],
                entity=wandb_settings["entity"],
                group=wandb_settings["group"],
                save_dir=output,
                mode=wandb_settings["mode"],
                config=dict(config),
                settings=wandb.Settings(silent=True),
            )
        )
    return built


@rank_zero_only
def carry_curves(loggers: Iterable[Logger], run: Path, steps: int) -> None:
    """Begin the `metrics.csv` of a resumed run with the earlier run's rows, so that it shows every epoch.

    Args:
        loggers: of the resumed run, which has logged nothing yet.
        run: the earlier run's folder; it may be the resumed one's own.
        steps: that the checkpoint has made; what the earlier run did after it is done again.
    """
    if not (run / CURVES).is_file():
        return
    # Read before the logger is touched: it deletes the file that it finds in its folder.
    with (run / CURVES).open(newline="", encoding="utf-8") as stream:
        rows = [{key: value for key, value in row.items() if key and value} for row in csv.DictReader(stream)]
    kept = [row for row in rows if float(row.get("step", 0)) < steps]
    for logger in loggers:
        if isinstance(logger, CSVLogger):
            logger.experiment.metrics.extend(kept)
            logger.save()


def log_bundle(loggers: Iterable[Logger], bundle: Bundle, metrics: Mapping[str, Any], examples: Path) -> None:
    """Send a finished run's test metrics, confusion matrices, plots, example predictions and bundle to W&B.

    Args:
        loggers: of the run; nothing happens without a W&B logger among them.
        bundle: as shipped.
        metrics: the bundle's `metrics.json`.
        examples: picture of example predictions, kept out of the bundle because it shows faces.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        run = logger.experiment
        log_metrics(run, metrics, bundle.path)
        if examples.is_file():
            run.log({"examples": wandb.Image(str(examples))})
        artifact = wandb.Artifact(bundle.name, type="bundle", metadata=bundle.spec.model_dump(mode="json"))
        artifact.add_dir(str(bundle.path))
        run.log_artifact(artifact)


def finish(loggers: Iterable[Logger], *, failed: bool) -> None:
    """Close the loggers; a failed run is marked as failed."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger) and wandb.run is not None:
            wandb.finish(exit_code=int(failed))
