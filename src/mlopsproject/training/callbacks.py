"""Callbacks of our own: averaged weights that suit short runs, and a checkpoint when a run is interrupted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, WeightAveraging
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

log = logging.getLogger(__name__)

EPOCH_FIGURES = ("train/loss", "train/acc", "val/loss", "val/acc", "val/macro_f1")


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, used for validation, checkpoints and export.

    The decay rises as (1 + n) / (10 + n) up to `decay`, so that short runs are not held back by their first steps.

    Args:
        decay: of the average, per step.
    """

    def __init__(self, decay: float = 0.999) -> None:
        def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
            count = int(updates)
            weight = 1 - min(decay, (1 + count) / (10 + count))
            return averaged.lerp(current, weight) if averaged.is_floating_point() else current

        super().__init__(use_buffers=True, avg_fn=average)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the trained weights back if validation was interrupted, which runs on the averaged ones."""
        if trainer.validating and not trainer.sanity_checking and self._average_model is not None:
            self._swap_models(pl_module)


class InterruptCheckpoint(Callback):
    """Saves `last.ckpt` when a run is interrupted (Ctrl-C or SIGTERM), so that it can be resumed.

    Args:
        folder: of the run's checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save where training stands."""
        if not isinstance(exception, KeyboardInterrupt | SIGTERMException) or trainer.sanity_checking:
            return
        path = self.folder / "last.ckpt"
        trainer.save_checkpoint(path)
        log.warning("Interrupted in epoch %d. Resume with: resume=%s", trainer.current_epoch + 1, path)


class MetricHistory(Callback):
    """Keeps each epoch's metrics as plain numbers, for the final table and for tests."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch's metrics."""
        values: dict[str, Any] = {key: float(value) for key, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": float(trainer.current_epoch), **values})


class EpochLines(Callback):
    """Logs one line per epoch, for terminals and log files that cannot show a progress bar."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's figures."""
        values = trainer.callback_metrics
        figures = "  ".join(f"{key} {float(values[key]):.4f}" for key in EPOCH_FIGURES if key in values)
        log.info("epoch %d/%s  %s", trainer.current_epoch + 1, trainer.max_epochs, figures)
