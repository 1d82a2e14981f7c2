"""Loggers: CSV always, Weights & Biases when asked for, and what a finished run sends there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import Logger, WandbLogger

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import ConfigError
from mlopsproject.training.factory import build

log = logging.getLogger(__name__)

WANDB_MODES = ("online", "offline", "disabled")


def build_loggers(
    loggers: Mapping[str, Mapping[str, Any]],
    wandb_settings: Mapping[str, Any],
    output: Path,
    config: Mapping[str, Any],
) -> list[Logger]:
    """The run's loggers.

    Args:
        loggers: the `logger` group, one entry per logger.
        wandb_settings: `enabled`, `mode`, `project`, `entity`, `group`.
        output: the run's folder; W&B's local files go there as well.
        config: the whole config, logged as the run's.

    Raises:
        ConfigError: for an unknown W&B mode, or `online` without a login.
    """
    built: list[Logger] = [build(settings) for settings in loggers.values()]
    mode = str(wandb_settings["mode"])
    if mode not in WANDB_MODES:
        raise ConfigError(f"wandb.mode={mode!r} is not known.", f"Choose one of {', '.join(WANDB_MODES)}.")
    if wandb_settings["enabled"]:
        if mode == "online" and not _logged_in():
            raise ConfigError(
                "wandb.mode=online, but nobody is logged in to W&B.",
                "Run `uv run wandb login`, set WANDB_API_KEY, or use wandb.mode=offline.",
            )
        tracker = WandbLogger(
            project=wandb_settings["project"],
            entity=wandb_settings["entity"],
            group=wandb_settings["group"],
            save_dir=output,
            mode=mode,
            config=dict(config),
            settings=wandb.Settings(silent=True),
        )
        built.append(tracker)
    return built


def _logged_in() -> bool:
    return bool(wandb.api.api_key)


def log_bundle(loggers: list[Logger], bundle: Bundle, metrics: Mapping[str, Any]) -> None:
    """Send a finished run's test metrics, confusion matrices, example predictions and bundle to W&B.

    Args:
        loggers: of the run; nothing happens without a W&B logger among them.
        bundle: as shipped.
        metrics: the bundle's `metrics.json`.
    """
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        run = logger.experiment
        for key, value in bundle.spec.metrics.items():
            run.summary[key] = value
        run.log(confusion_tables(metrics, bundle.spec.classes))
        pictures = {f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted(bundle.path.rglob("*.png"))}
        run.log(pictures)
        artifact = wandb.Artifact(bundle.spec.name, type="bundle", metadata=bundle.spec.model_dump(mode="json"))
        artifact.add_dir(str(bundle.path))
        run.log_artifact(artifact)


def confusion_tables(metrics: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, wandb.Table]:
    """The raw and the normalised confusion matrix as W&B tables, rows labelled by true class."""
    tables = {}
    for kind in ("raw", "normalised"):
        rows = [[label, *row] for label, row in zip(classes, metrics["confusion"][kind], strict=True)]
        tables[f"test/confusion_{kind}"] = wandb.Table(columns=["true \\ predicted", *classes], data=rows)
    return tables


def finish(loggers: list[Logger], *, failed: bool) -> None:
    """Close the loggers; a failed run is marked as failed."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
        if isinstance(logger, WandbLogger) and wandb.run is not None:
            wandb.finish(exit_code=int(failed))
