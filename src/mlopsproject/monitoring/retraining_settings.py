"""Settings of a retraining, and its result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlopsproject.config import load_config, values
from mlopsproject.core.checks import check_choice, check_flag, check_text, check_whole
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.schemas import DriftReport
from mlopsproject.core.spec import ModelSpec
from mlopsproject.core.store import Store
from mlopsproject.data.manifest import read_import
from mlopsproject.data.votes import LabelRule
from mlopsproject.evaluation.tracking import check_wandb
from mlopsproject.monitoring.comparison import Comparison

_EXPERIMENT: Final = re.compile(r"\bexperiment=(?P<name>[\w/]+)")
#: Experiments of shipped bundles that had other names when these were trained.
_RENAMED: Final = {"fer2013_fine_five_all": "fer2013_five", "fer2013_fine_seven_all": "fer2013_seven"}
STEPS: Final = ("check", "merge", "train", "compare", "promote")


@dataclass(frozen=True)
class Outcome:
    """State of a retraining.

    Attributes:
        folder: with the results of its steps.
        production: name of the bundle that was in production at its start.
        done: steps that are done.
        report: drift report of the step `check`; `None` before it.
        comparison: result of the step `compare`; `None` before it.
        promoted: name of the candidate, if the alias points at it now; else `None`.
        stopped: reason why it stopped early; else `None`.
    """

    folder: Path
    production: str
    done: tuple[str, ...]
    report: DriftReport | None
    comparison: Comparison | None
    promoted: str | None
    stopped: str | None


def no_reason(report: DriftReport) -> str:
    """Message that no retraining is needed, with the verdicts of the check."""
    performance = "" if report.performance is None else f", performance: {report.performance.verdict}"
    return f"No reason to retrain (drift: {report.verdict}{performance}); force=true goes on all the same."


def recipe(settings: Mapping[str, Any], production: ModelSpec) -> list[str]:
    """Overrides of `configs/train.yaml` with which the candidate is trained.

    Args:
        settings: as composed from `configs/retrain.yaml`.
        production: spec of the bundle in production, whose experiment is the default.

    Raises:
        ConfigError: if neither names one, or it does not exist.
    """
    wanted = dict(settings["train"])
    if wanted["experiment"] is None:
        trained_by = _EXPERIMENT.search(str(production.training.get("command", "")))
        if trained_by is None:
            raise ConfigError(
                f"train.experiment= is missing: {production.name} does not say by which it was trained.",
                "Name the recipe, as in: -o train.experiment=sample",
            )
        wanted["experiment"] = _RENAMED.get(trained_by["name"], trained_by["name"])
    found = [f"{key}={value}" for key, value in wanted.items() if value is not None]
    if load_config("train", found)["data"]["labels"] != "given":
        # New faces have the label that somebody gave them, and rarely votes.
        found.append("data.without_votes=given")
    return found


def truth(recipe: list[str]) -> dict[str, Any]:
    """The labels that models are compared by, as keys of a `data` group: those that the candidate is trained on.

    Args:
        recipe: overrides of `configs/train.yaml`.
    """
    data = values(load_config("train", recipe))["data"]
    rule = asdict(LabelRule.of(data))
    return rule if rule["labels"] == "given" else rule | {"labels": "majority"}


def old_data(settings: Mapping[str, Any], production: ModelSpec) -> str:
    """Name of the data set to merge with the new one: `data.name`, or the one that production was trained on.

    Raises:
        ConfigError: if neither is known, or it is the new data set.
    """
    name = settings["data"]["name"] or production.training_data.get("name")
    if not name:
        raise ConfigError(f"data.name= is missing: {production.name} does not say what it was trained on.")
    if name == settings["new_data"]:
        raise ConfigError(f"new_data={name} is what production was trained on.", "Name what is new.")
    return str(name)


def check_old_data(folder: Path, production: ModelSpec) -> None:
    """Check by fingerprint that a data set is the one that production was trained on, so that its test split is, too.

    Raises:
        DataError: otherwise, naming both.
    """
    trained, here = production.training_data.get("fingerprint"), read_import(folder)["fingerprint"]
    if trained != here:
        raise DataError(
            f"{production.name} was trained on data set {production.training_data.get('name')!r} ({trained}), "
            f"and {folder} is another one ({here}).",
            "Import that one, with the same options.",
        )


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check the settings before any work.

    Args:
        settings: as composed from `configs/retrain.yaml`.

    Raises:
        ConfigError: naming the key, the value and the allowed values.
    """
    if not isinstance(settings["new_data"], str):
        raise ConfigError("new_data= is missing.", "Give an imported data set, as in: -o new_data=NAME")
    check_text("new_data", settings["new_data"])
    if settings["data"]["name"] is not None:
        check_text("data.name", settings["data"]["name"])
    for key, value in (("data.root", settings["data"]["root"]), ("runs", settings["runs"])):
        check_text(key, value)
    if settings["step"] is not None:
        check_choice("step", settings["step"], STEPS)
    check_choice("trigger", settings["trigger"], ("new_data", "log"))
    for key in ("force", "finetune", "progress"):
        check_flag(key, settings[key])
    check_whole("threads", settings["threads"], lowest=1)
    check_wandb(settings["wandb"])
    Store.check_alias(settings["alias"])
