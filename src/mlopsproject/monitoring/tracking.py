"""Logs drift runs and retrainings to Weights & Biases (W&B)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE
from mlopsproject.core.schemas import DriftReport
from mlopsproject.monitoring.comparison import PLOT_FILE, Comparison

if TYPE_CHECKING:
    import wandb


def log_comparison(settings: Mapping[str, Any], comparison: Comparison, output: Path) -> None:
    """Log a comparison as a W&B run of its own; nothing happens unless `wandb.enabled`.

    Args:
        settings: the config's `wandb` group.
        comparison: to log.
        output: folder with its plot; W&B's local files go there.
    """
    if not settings["enabled"]:
        return
    import wandb

    shown = ("images", "production", "candidate", "difference", "low", "high")
    figures: dict[str, Any] = {"retrain/better": comparison.better, "retrain/reason": comparison.reason}
    for name, part in (("old", comparison.old), ("new", comparison.new)):
        figures |= {f"retrain/{name}/{key}": getattr(part, key) for key in shown}
    with _run(
        settings, "retrain", output, {"production": comparison.production, "candidate": comparison.candidate}
    ) as run:
        run.summary.update(figures)
        run.log({"retrain/plot": wandb.Image(str(output / PLOT_FILE))})


def log_drift(settings: Mapping[str, Any], report: DriftReport, output: Path) -> None:
    """Log a report as a W&B run of its own; nothing happens unless `wandb.enabled`.

    Args:
        settings: the config's `wandb` group.
        report: to log.
        output: folder with its page and picture; W&B's local files go there.
    """
    if not settings["enabled"]:
        return
    import wandb

    figures: dict[str, Any] = {"drift/verdict": report.verdict, "drift/drifted_share": report.drifted_share}
    figures |= {f"drift/distance/{column.column}": column.distance for column in report.columns}
    figures |= {f"drift/p_value/{column.column}": column.p_value for column in report.columns}
    if report.performance is not None:
        shown = ("verdict", "accuracy", "low", "high", "labels", "baseline")
        figures |= {f"performance/{name}": getattr(report.performance, name) for name in shown}
    with _run(settings, "drift", output, {"bundle": report.bundle, "current": report.current}) as run:
        run.summary.update(figures)
        run.log({"drift/picture": wandb.Image(str(output / PICTURE_FILE))})
        if (output / PAGE_FILE).is_file():
            run.log({"drift/report": wandb.Html((output / PAGE_FILE).read_text(encoding="utf-8"), inject=False)})


def _run(settings: Mapping[str, Any], job: str, output: Path, config: dict[str, str]) -> wandb.Run:
    import wandb

    return wandb.init(
        project=settings["project"],
        entity=settings["entity"],
        group=settings["group"],
        mode=settings["mode"],
        job_type=job,
        dir=output,
        config=config,
        settings=wandb.Settings(silent=True),
    )
