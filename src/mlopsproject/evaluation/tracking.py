"""Logs evaluations to Weights & Biases (W&B): metrics, confusion matrices and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlopsproject.core.checks import check_choice
from mlopsproject.core.errors import ConfigError

if TYPE_CHECKING:
    import wandb

WANDB_MODES = ("online", "offline", "disabled")
HEADLINE = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "nll", "brier", "ece")


def check_wandb(settings: Mapping[str, Any]) -> None:
    """Check the W&B settings before any work.

    Args:
        settings: the config's `wandb` group: `enabled`, `mode`.

    Raises:
        ConfigError: for an unknown mode, `online` without a login, or if W&B is not installed.
    """
    mode = settings["mode"]
    check_choice("wandb.mode", mode, WANDB_MODES)
    if not settings["enabled"]:
        return
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            "wandb.enabled=true needs the package wandb, which is not installed.", "Install the extra 'train'."
        ) from error
    if mode == "online" and not wandb.api.api_key:
        raise ConfigError(
            "wandb.mode=online, but nobody is logged in to W&B.",
            "Run `uv run wandb login`, set WANDB_API_KEY, or use wandb.mode=offline.",
        )


def log_evaluation(settings: Mapping[str, Any], metrics: Mapping[str, Any], output: Path) -> None:
    """Log an evaluation as a W&B run of its own; nothing happens unless `wandb.enabled`.

    Args:
        settings: the config's `wandb` group.
        metrics: content of `metrics.json`.
        output: the evaluation's folder; its plots are logged, and W&B's local files go there.
    """
    if not settings["enabled"]:
        return
    import wandb

    with wandb.init(
        project=settings["project"],
        entity=settings["entity"],
        group=settings["group"],
        mode=settings["mode"],
        job_type="evaluate",
        dir=output,
        config={"bundle": metrics["bundle"], "data": metrics["data"]},
        settings=wandb.Settings(silent=True),
    ) as run:
        log_metrics(run, metrics, output)


def log_metrics(run: wandb.Run, metrics: Mapping[str, Any], folder: Path) -> None:
    """Log metrics to the run's summary, both confusion matrices as tables, and every plot under `folder`."""
    import wandb

    split, classes = metrics["data"]["split"], metrics["bundle"]["classes"]
    run.summary.update({f"{split}/{name}": metrics[name] for name in HEADLINE})
    run.log(confusion_tables(metrics, classes, split))
    run.log({f"plots/{path.stem}": wandb.Image(str(path)) for path in sorted(folder.glob("plots/*.png"))})


def confusion_tables(metrics: Mapping[str, Any], classes: Sequence[str], split: str) -> dict[str, wandb.Table]:
    """The raw and the normalised confusion matrix as W&B tables, rows labelled by true class."""
    import wandb

    tables = {}
    for kind in ("raw", "normalised"):
        rows = [[label, *row] for label, row in zip(classes, metrics["confusion"][kind], strict=True)]
        table = wandb.Table(columns=["true class", *classes])
        for row in rows:
            table.add_data(*row)
        tables[f"{split}/confusion_{kind}"] = table
    return tables
