"""Callbacks of our own: averaged weights for short runs, checkpoints that survive interruption and resuming."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, WeightAveraging
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from mlopsproject.config import command_line
from mlopsproject.core.errors import ConfigError

log = logging.getLogger(__name__)

EPOCH_FIGURES = ("train/loss", "train/acc", "val/loss", "val/acc", "val/macro_f1")


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, used for validation, checkpoints and export.

    The decay rises with the step n as (1 + n) / (ramp + n) up to `decay`, so that short runs are not held back by their
    first steps. While it rises, the average spans a fixed share of the run, about 1 / (ramp - 1) of it (polynomial
    decay, Shamir & Zhang, 2013): with a ramp of 2 it is the mean of all steps, as in stochastic weight averaging
    (Izmailov et al., 2018).

    Args:
        decay: of the average, per step.
        ramp: at least 2; the smaller, the longer the average reaches back.
    """

    def __init__(self, decay: float = 0.999, ramp: float = 10.0) -> None:
        def average(averaged: Any, current: Any, updates: Tensor | int) -> None:
            count = int(updates)
            weight = 1 - min(decay, (1 + count) / (ramp + count))
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, current, weight)
            else:
                torch._foreach_copy_(averaged, current)

        # One call for all tensors: hundreds of small ones would cost a small network more than its own step.
        super().__init__(use_buffers=True, multi_avg_fn=average)

        self._swapped = False

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate on the averaged weights."""
        super().on_validation_epoch_start(trainer, pl_module)
        self._swapped = self._average_model is not None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the trained weights back."""
        super().on_validation_epoch_end(trainer, pl_module)
        self._swapped = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Take the trained weights back if validation was interrupted, before they are saved."""
        if self._swapped:
            self._swap_models(pl_module)
            self._swapped = False


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt` and `last.ckpt`; a resumed run goes on from the best of the run it resumes.

    Args:
        folder: for the checkpoints.
        monitor: the metric that decides.
        mode: `min` or `max`.
    """

    def __init__(self, folder: Path, *, monitor: str, mode: str) -> None:
        super().__init__(
            folder,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            save_last=True,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self._is_first = True

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Settle the folder; of several processes only the first writes there."""
        super().setup(trainer, pl_module, stage)
        self._is_first = trainer.is_global_zero

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save `best.ckpt` if the epoch was the best, and `last.ckpt` after every epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        # Lightning renews the last checkpoint only together with the best one.
        if self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say so if the earlier run chose its best checkpoint by another metric."""
        # The state's key holds the metric, so Lightning finds none and does not call `load_state_dict`.
        if self.state_key not in checkpoint.get("callbacks", {}):
            log.warning(
                "The earlier run's best checkpoint is not taken over: it was not chosen by callbacks.monitor=%s",
                self.monitor,
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Bring the earlier run's best checkpoint into this run's folder, with its score."""
        assert self.dirpath is not None
        if not state_dict["best_model_path"]:
            return
        earlier, kept = Path(state_dict["best_model_path"]), Path(self.dirpath) / "best.ckpt"
        if not earlier.is_file():
            log.warning("The best checkpoint so far, %s, is gone; this run finds its own.", earlier)
            return
        if self._is_first and earlier != kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(earlier, kept)
        score = state_dict["best_model_score"]
        moved = {"dirpath": self.dirpath, "best_model_path": str(kept), "kth_best_model_path": str(kept)}
        super().load_state_dict({**state_dict, **moved, "best_k_models": {str(kept): score}, "last_model_path": ""})


class EarlyStopping(pl.callbacks.EarlyStopping):
    """Stops a run that does not improve; a resumed run has the patience it is given now, not the earlier one's."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting the epochs without improvement."""
        super().load_state_dict({**state_dict, "patience": self.patience})


class DivergenceStop(Callback):
    """Ends a run whose training loss is no longer a number: no later epoch can mend it."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the epoch's loss, which is that of all processes together.

        Raises:
            ConfigError: if it is not finite.
        """
        # A run resumed within validation has learnt nothing in that epoch.
        loss = float(trainer.callback_metrics.get("train/loss", 0.0))
        if not math.isfinite(loss):
            raise ConfigError(
                f"training diverged in epoch {trainer.current_epoch + 1} (train/loss is {loss}).",
                f"Give a lower lr= than {pl_module.hparams['lr']}.",
            )


class InterruptCheckpoint(Callback):
    """Saves `last.ckpt` when a run is interrupted (Ctrl-C or SIGTERM), so that it can be resumed from there.

    Args:
        folder: of the run's checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).absolute()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the loader where a resumed epoch goes on."""
        # Lightning skips this when the loader was made early, to count the schedule's steps.
        trainer.fit_loop._load_combined_loader_states()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save where training stands."""
        if not isinstance(exception, KeyboardInterrupt | SIGTERMException) or trainer.sanity_checking:
            return
        path = self.folder / "last.ckpt"
        # Not `trainer.save_checkpoint`, which waits for the other processes: they may be gone already.
        checkpoint = trainer._checkpoint_connector.dump_checkpoint()
        # The batch under way was fetched but not learnt from: the resumed run begins with it.
        for loader in checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader", []):
            loader["next_batch"] = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        trainer.strategy.save_checkpoint(checkpoint, path)
        go_on = command_line("train", resume=path)
        log.warning("Interrupted in epoch %d. Go on with: %s", trainer.current_epoch + 1, go_on)


class MetricHistory(Callback):
    """Keeps each epoch's metrics as plain numbers, for the final table and for tests, and the time spent training.

    Attributes:
        epochs: metrics of each epoch that this process has trained.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._earlier, self._start = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall time of training and validation, that of the runs it goes on with included."""
        return self._earlier + time.monotonic() - self._start

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """The time spent so far and the command that started the run; saved in checkpoints."""
        return {"seconds": self.seconds, "command": command_line("train")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._earlier = float(state_dict["seconds"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch's metrics."""
        values: dict[str, Any] = {key: float(value) for key, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": float(trainer.current_epoch), **values})


def training_record(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """How a checkpoint was trained, as far as it tells: `command`, `seed`, `epochs` and `seconds`."""
    history = checkpoint.get("callbacks", {}).get(MetricHistory.__qualname__, {})
    record = {
        "command": history.get("command"),
        "seed": checkpoint["hyper_parameters"].get("seed"),
        "epochs": checkpoint["epoch"] + 1 if "epoch" in checkpoint else None,
        "seconds": round(history["seconds"], 1) if "seconds" in history else None,
    }
    return {key: value for key, value in record.items() if value is not None}


class EpochLines(Callback):
    """Logs one line per epoch, for terminals and log files that cannot show a progress bar."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's figures."""
        values = trainer.callback_metrics
        figures = "  ".join(f"{key} {float(values[key]):.4f}" for key in EPOCH_FIGURES if key in values)
        log.info("epoch %d/%s  %s", trainer.current_epoch + 1, trainer.max_epochs, figures)
