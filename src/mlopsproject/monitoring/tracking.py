"""What a drift run sends to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE
from mlopsproject.core.schemas import DriftReport


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
    with wandb.init(
        project=settings["project"],
        entity=settings["entity"],
        group=settings["group"],
        mode=settings["mode"],
        job_type="drift",
        dir=output,
        config={"bundle": report.bundle, "current": report.current},
        settings=wandb.Settings(silent=True),
    ) as run:
        run.summary.update(figures)
        run.log({"drift/picture": wandb.Image(str(output / PICTURE_FILE))})
        if (output / PAGE_FILE).is_file():
            run.log({"drift/report": wandb.Html((output / PAGE_FILE).read_text(encoding="utf-8"), inject=False)})
