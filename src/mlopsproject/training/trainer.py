"""Lightning's Trainer as the config describes it: callbacks, loggers, precision, processes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, EarlyStopping, LearningRateMonitor, RichProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

from mlopsproject.core.errors import ConfigError, nearest
from mlopsproject.training.callbacks import (
    AveragedWeights,
    BestCheckpoint,
    EpochLines,
    InterruptCheckpoint,
    MetricHistory,
)
from mlopsproject.training.hardware import Compute, keep_freed_memory

log = logging.getLogger(__name__)

MONITORS = {"val/acc": "max", "val/macro_f1": "max", "val/loss": "min"}
PROFILERS: dict[str, Callable[..., Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def build_callbacks(settings: Mapping[str, Any], output: Path, *, progress: bool) -> list[Callback]:
    """The run's callbacks.

    Args:
        settings: the `callbacks` group: `ema`, `monitor`, `patience`.
        output: the run's folder; checkpoints go to `output/checkpoints`.
        progress: show a progress bar on a terminal, one line per epoch elsewhere.

    Raises:
        ConfigError: for an unknown metric to monitor.
    """
    monitor = str(settings["monitor"])
    if monitor not in MONITORS:
        hint = nearest(monitor, MONITORS) or f"Choose one of {', '.join(MONITORS)}."
        raise ConfigError(f"callbacks.monitor={monitor!r} is not logged;", hint)
    folder = output / "checkpoints"
    callbacks: list[Callback] = [
        BestCheckpoint(folder, monitor=monitor, mode=MONITORS[monitor]),
        InterruptCheckpoint(folder),
        MetricHistory(),
        LearningRateMonitor(logging_interval="epoch"),
    ]
    if settings["ema"]:
        # First in the list: it must take the averaged weights back before a checkpoint of an interrupted run.
        callbacks.insert(0, AveragedWeights(float(settings["ema"])))
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
    prepare_process(settings)
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
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"The settings of trainer= do not work: {reason}", "See configs/trainer/.") from error


def build_profiler(name: str | None, output: Path) -> Profiler | None:
    """The profiler called `name`, which writes its report into the run's folder when training ends.

    Raises:
        ConfigError: for an unknown name.
    """
    if name is None:
        return None
    if name not in PROFILERS:
        hint = nearest(name, PROFILERS) or f"choose one of {', '.join(PROFILERS)}."
        raise ConfigError(f"trainer.profiler={name!r} is not known;", hint)
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
    elif settings["accelerator"] == "cpu" and isinstance(settings["devices"], int) and settings["devices"] > 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // settings["devices"]))
