"""What a training run is refused for before it spends any time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlopsproject.core.checks import check_choice, check_flag, check_number, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.data.balance import STRATEGIES
from mlopsproject.data.dataset import part_of
from mlopsproject.data.votes import LabelRule
from mlopsproject.evaluation.tracking import check_wandb
from mlopsproject.training.augment import Augmentation
from mlopsproject.training.bundling import check_shipping
from mlopsproject.training.distillation import check_distill
from mlopsproject.training.optimisation import check_optim
from mlopsproject.training.trainer import check_callbacks, check_trainer


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse values that no run can have, those that are needed last included.

    Args:
        settings: as composed from `configs/train.yaml`.

    Raises:
        UserError: naming the key.
    """
    check_whole("epochs", settings["epochs"], lowest=1)
    check_whole("batch_size", settings["batch_size"], lowest=1)
    check_whole("seed", settings["seed"], lowest=0)
    check_number("lr", settings["lr"], open_ends=True)
    _check_data(settings["data"])
    check_optim(settings["optim"])
    check_distill(settings["distill"])
    Augmentation(**settings["augment"])
    check_trainer(settings["trainer"])
    check_callbacks(settings["callbacks"])
    check_shipping(settings)
    check_wandb(settings["wandb"])


def _check_data(data: Mapping[str, Any]) -> None:
    LabelRule.of(data)
    check_flag("data.drop_twins", data["drop_twins"])
    if data["leave_out"] is not None:
        part_of(data["leave_out"])
    if data["validate_on"] is not None:
        part_of(data["validate_on"], "data.validate_on")
    check_choice("data.balance", data["balance"], STRATEGIES)
    check_whole("data.per_class", data["per_class"], lowest=1, optional=data["balance"] != "fixed")


def check_folder(output: Path, resume: Path | None) -> None:
    """Refuse to write over an earlier run, unless it is the one that is resumed.

    Args:
        output: folder of the run that is about to start.
        resume: the checkpoint it goes on from.

    Raises:
        ConfigError: if the folder holds another run's checkpoints.
    """
    folder = (output / "checkpoints").resolve()
    if any(folder.glob("*.ckpt")) and (resume is None or resume.resolve().parent != folder):
        raise ConfigError(
            f"{output} holds an earlier run, which this one would write over.",
            f"Choose another hydra.run.dir=, or go on with that run: resume={output}",
        )
