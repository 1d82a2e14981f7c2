"""Lightning's Trainer as the config describes it: callbacks, loggers, precision, processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from mlopsproject.core.checks import check_choice, check_flag, check_number, check_whole
from mlopsproject.core.errors import ConfigError, first_line
from mlopsproject.training.callbacks import (
    AveragedWeights,
    BestCheckpoint,
    DivergenceStop,
    EarlyStopping,
    EpochLines,
    InterruptCheckpoint,
    MetricHistory,
)
from mlopsproject.training.hardware import Compute, keep_freed_memory

MONITORS = {"val/acc": "max", "val/macro_f1": "max", "val/loss": "min"}
PROFILERS: dict[str, Callable[..., Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def check_callbacks(settings: Mapping[str, Any]) -> None:
    """Refuse values of the `callbacks` group that no run can have.

    Raises:
        ConfigError: naming the key.
    """
    check_choice("callbacks.monitor", settings["monitor"], MONITORS)
    check_number("callbacks.ema", settings["ema"], highest=1, open_ends=True, optional=True)
    check_number("callbacks.ema_ramp", settings["ema_ramp"], lowest=2)
    check_whole("callbacks.patience", settings["patience"], lowest=1, optional=True)


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Refuse values of the `trainer` group that no run can have, before Lightning meets them halfway through.

    Raises:
        ConfigError: naming the key.
    """
    for key in ("channels_last", "compile", "progress"):
        check_flag(f"trainer.{key}", settings[key])
    if settings["deterministic"] != "warn":
        check_flag("trainer.deterministic", settings["deterministic"])
    if settings["profiler"] is not None:
        check_choice("trainer.profiler", settings["profiler"], PROFILERS)
    check_whole("trainer.num_nodes", settings["num_nodes"], lowest=1)
    check_whole("trainer.threads", settings["threads"], lowest=1, optional=True)
    check_number("trainer.gradient_clip_val", settings["gradient_clip_val"], optional=True)
    for key in ("limit_train_batches", "limit_val_batches"):
        limit = settings[key]
        check_number(f"trainer.{key}", limit)
        # Without a batch of either there is nothing to learn from, or nothing to choose the best checkpoint by.
        if limit == 0 or (isinstance(limit, float) and limit > 1):
            raise ConfigError(
                f"trainer.{key}={limit} is not possible.", "Give a share above 0 and up to 1.0, or a number of batches."
            )


def build_callbacks(settings: Mapping[str, Any], output: Path, *, progress: bool) -> list[Callback]:
    """The run's callbacks.

    Args:
        settings: the `callbacks` group: `ema`, `monitor`, `patience`.
        output: the run's folder; checkpoints go to `output/checkpoints`.
        progress: show a progress bar on a terminal, one line per epoch elsewhere.

    Raises:
        ConfigError: for an unknown metric to monitor.
    """
    check_callbacks(settings)
    monitor = str(settings["monitor"])
    folder = output / "checkpoints"
    callbacks: list[Callback] = [
        # Before the checkpoints: none is saved of an epoch that diverged.
        DivergenceStop(),
        BestCheckpoint(folder, monitor=monitor, mode=MONITORS[monitor]),
        InterruptCheckpoint(folder),
        MetricHistory(),
        LearningRateMonitor(logging_interval="epoch"),
    ]
    if settings["ema"]:
        # First in the list: it must take the averaged weights back before a checkpoint of an interrupted run.
        callbacks.insert(0, AveragedWeights(float(settings["ema"]), float(settings["ema_ramp"])))
    if settings["patience"]:
        callbacks.append(EarlyStopping(monitor, mode=MONITORS[monitor], patience=int(settings["patience"])))
    if progress:
        callbacks.append(RichProgressBar(refresh_rate=5, leave=True) if sys.stdout.isatty() else EpochLines())
    return callbacks


def build_trainer(
    settings: Mapping[str, Any],
    compute: Compute,
    *,
    epochs: int,
    output: Path,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    checkpoints: bool = True,
) -> pl.Trainer:
    """A Trainer from the `trainer` group.

    Args:
        settings: the group's values.
        compute: precision as settled for this machine.
        epochs: to train.
        output: the run's folder.
        callbacks: see `build_callbacks`.
        loggers: where metrics go.
        checkpoints: whether anything is saved.

    Raises:
        ConfigError: for settings that Lightning refuses.
    """
    try:
        return pl.Trainer(
            accelerator=settings["accelerator"],
            devices=settings["devices"],
            num_nodes=settings["num_nodes"],
            strategy=settings["strategy"],
            precision=compute.precision,  # type: ignore[arg-type]
            max_epochs=epochs,
            gradient_clip_val=settings["gradient_clip_val"],
            deterministic=settings["deterministic"],
            profiler=build_profiler(settings["profiler"], output),
            limit_train_batches=settings["limit_train_batches"],
            limit_val_batches=settings["limit_val_batches"],
            callbacks=list(callbacks),
            logger=list(loggers),
            default_root_dir=output,
            enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
            enable_model_summary=False,
            enable_checkpointing=checkpoints,
            num_sanity_val_steps=0,
            log_every_n_steps=50,
            # Our loader deals each process its share.
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise trainer_refused(error) from error


def trainer_refused(error: Exception) -> ConfigError:
    """What Lightning says about settings that it cannot work with, in one line."""
    return ConfigError(f"The settings of trainer= do not work: {first_line(error)}", "See configs/trainer/.")


def build_profiler(name: str | None, output: Path) -> Profiler | None:
    """The profiler called `name`, which writes its report into the run's folder when training ends.

    Raises:
        ConfigError: for an unknown name.
    """
    if name is None:
        return None
    check_choice("trainer.profiler", name, PROFILERS)
    return PROFILERS[name](dirpath=output, filename="profile")


def prepare_process(settings: Mapping[str, Any]) -> None:
    """Settle this process's threads and memory for training.

    The machine's cores are shared among its processes, unless `trainer.threads` says otherwise; on the CPU, freed
    memory is kept.
    """
    if settings["accelerator"] == "cpu":
        keep_freed_memory()
    if settings["threads"]:
        torch.set_num_threads(int(settings["threads"]))
        # Lightning would set a number of its own when it starts several processes.
        os.environ["OMP_NUM_THREADS"] = str(settings["threads"])
    elif settings["accelerator"] == "cpu" and isinstance(settings["devices"], int) and settings["devices"] > 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // settings["devices"]))
