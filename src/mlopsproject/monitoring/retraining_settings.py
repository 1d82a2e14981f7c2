"""What a retraining can be told, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlopsproject.config import load_config
from mlopsproject.core.checks import check_choice, check_flag, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.schemas import DriftReport
from mlopsproject.core.store import Store
from mlopsproject.evaluation.tracking import check_wandb
from mlopsproject.monitoring.comparison import Comparison

STEPS: Final = ("check", "merge", "train", "compare", "promote")


@dataclass(frozen=True)
class Outcome:
    """How a retraining stands.

    Attributes:
        folder: with the results of its steps.
        production: name of the bundle it began with.
        done: steps that are done.
        report: of the check; `None` before it.
        comparison: `None` before it.
        promoted: name of the bundle that the alias holds now, if it was moved.
        stopped: why there is nothing to do, if so.
    """

    folder: Path
    production: str
    done: tuple[str, ...]
    report: DriftReport | None
    comparison: Comparison | None
    promoted: str | None
    stopped: str | None


def no_reason(report: DriftReport) -> str:
    """Why there is nothing to do, by what the check found."""
    performance = "" if report.performance is None else f", performance: {report.performance.verdict}"
    return f"No reason to retrain (drift: {report.verdict}{performance}); force=true goes on all the same."


def recipe(settings: Mapping[str, Any]) -> list[str]:
    """How the candidate is trained, as overrides of `configs/train.yaml`."""
    return [f"{key}={value}" for key, value in settings["train"].items() if value is not None]


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse what cannot be, before any work.

    Args:
        settings: as composed from `configs/retrain.yaml`.

    Raises:
        ConfigError: naming the key, the value and what is possible.
    """
    if not isinstance(settings["new_data"], str):
        raise ConfigError("new_data= is missing.", "Give an imported data set, as in: -o new_data=NAME")
    if settings["new_data"] == settings["data"]["name"]:
        raise ConfigError(f"new_data={settings['new_data']} is data.name, too.", "Name what is new.")
    if settings["step"] is not None:
        check_choice("step", settings["step"], STEPS)
    check_choice("trigger", settings["trigger"], ("new_data", "log"))
    for key in ("force", "finetune", "progress"):
        check_flag(key, settings[key])
    load_config("train", recipe(settings))
    check_whole("threads", settings["threads"], lowest=1)
    check_wandb(settings["wandb"])
    Store.check_alias(settings["alias"])
