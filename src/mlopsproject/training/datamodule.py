"""The DataModule: a decoded face data set as training, validation and test batches."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray

from mlopsproject.core.errors import DataError
from mlopsproject.data.balance import epoch_indices
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.training.loader import ArrayLoader, EpochOrder, Order, shuffled


class FaceDataModule(pl.LightningDataModule):
    """Serves uint8 batches from a `FaceDataset`; augmentation happens later, batched, on the training device.

    Args:
        dataset: a loaded data set.
        batch_size: pictures per step, over all processes together.
        seed: of the shuffling.
        balance: `none`, `weighted` (classes drawn equally often) or `fixed` (`per_class` pictures of each).
        per_class: pictures per class and epoch with `balance=fixed`.
        targets: what training pictures are taught with beside their labels, see `distillation.soft_targets`.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        *,
        batch_size: int,
        seed: int = 0,
        balance: str = "none",
        per_class: int | None = None,
        targets: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.balance, self.per_class, self.targets = balance, per_class, targets
        for split in ("train", "validation"):
            if len(dataset.splits[split]) == 0:
                raise DataError(f"data set '{dataset.name}' has no {split} images of {list(dataset.classes)}.")

    def _training_order(self) -> Order:
        rows = self.dataset.splits["train"]
        if self.balance == "none":
            return shuffled(rows, self.seed)
        labels = self.dataset.labels[rows]

        def order(epoch: int) -> NDArray[np.int64]:
            rng = np.random.default_rng((self.seed, epoch))
            return rows[epoch_indices(labels, self.balance, per_class=self.per_class, rng=rng)]

        return order

    def _loader(self, order: Order, *, training: bool) -> ArrayLoader:
        world_size, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        return ArrayLoader(
            self.dataset.images,
            self.dataset.labels,
            EpochOrder(order, rank=rank, world_size=world_size, even=training),
            batch_size=max(1, self.batch_size // world_size) if training else max(64, self.batch_size // world_size),
            drop_last=training,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            targets=self.targets if training else None,
        )

    def train_dataloader(self) -> ArrayLoader:
        """Shuffled (or balanced) training batches, new each epoch."""
        return self._loader(self._training_order(), training=True)

    def val_dataloader(self) -> ArrayLoader:
        """Validation batches in manifest order."""
        return self._loader(lambda _epoch: self.dataset.splits["validation"], training=False)

    def test_dataloader(self) -> ArrayLoader:
        """Test batches in manifest order."""
        return self._loader(lambda _epoch: self.dataset.splits["test"], training=False)
