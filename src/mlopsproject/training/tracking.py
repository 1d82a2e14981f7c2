"""A run's loggers: CSV always, Weights & Biases when asked for, and what a finished run sends there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import Logger, WandbLogger

from mlopsproject.core.bundle import Bundle
from mlopsproject.evaluation.tracking import check_wandb, log_metrics
from mlopsproject.training.factory import build


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
