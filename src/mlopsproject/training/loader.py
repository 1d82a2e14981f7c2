"""Batches sliced from the decoded cache: no worker processes, no JPEG, no copies but the batch itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Order = Callable[[int], NDArray[np.int64]]


class EpochOrder:
    """Which rows an epoch visits, in which order, on this process.

    Args:
        order: maps an epoch number to row indices, int64 `[M]`; the same on every process.
        rank: number of this process, from 0.
        world_size: number of processes; the epoch is cut into as many equal shares.
        even: drop the last few rows so that all shares are equally long (training: processes must step together).
    """

    def __init__(self, order: Order, *, rank: int = 0, world_size: int = 1, even: bool = True) -> None:
        self.order, self.rank, self.world_size, self.even = order, rank, world_size, even
        self.epoch = 0
        self._drawn: tuple[int, NDArray[np.int64]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this at the start of each."""
        self.epoch = epoch

    def rows(self) -> NDArray[np.int64]:
        """Row indices of this process for the chosen epoch, int64."""
        if self._drawn is None or self._drawn[0] != self.epoch:
            rows = self.order(self.epoch)
            if self.even:
                rows = rows[: len(rows) // self.world_size * self.world_size]
            self._drawn = (self.epoch, rows[self.rank :: self.world_size])
        return self._drawn[1]


class ArrayLoader:
    """Iterates over `(images uint8 [B, C, H, W], labels int64 [B])`, and can resume in mid-epoch.

    With `targets`, batches have them as a third entry, float32 `[B, K]`.

    Args:
        images: uint8 `[N, C, H, W]`, in memory or memory-mapped.
        labels: int64 `[N]`.
        sampler: which rows, in which order. The name is Lightning's: it calls `sampler.set_epoch`.
        batch_size: rows per batch and process.
        drop_last: leave out a last, smaller batch, whose BatchNorm statistics would be poor.
        pin_memory: put batches in page-locked memory, which a GPU copies from while it computes.
        targets: probabilities of the classes that the pictures are taught with, float32 `[N, K]`.
    """

    #: Lightning looks for it beside `sampler`.
    batch_sampler = None

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        sampler: EpochOrder,
        *,
        batch_size: int,
        drop_last: bool = False,
        pin_memory: bool = False,
        targets: NDArray[np.float32] | None = None,
    ) -> None:
        self.arrays = (images, labels) if targets is None else (images, labels, targets)
        self.sampler = sampler
        self.batch_size, self.drop_last, self.pin_memory = batch_size, drop_last, pin_memory
        self._next_batch = 0
        self._resume: dict[str, int] = {}

    def __len__(self) -> int:
        rows = len(self.sampler.rows())
        # A set smaller than one batch still trains, in one smaller batch.
        full = rows // self.batch_size
        return max(1, full) if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        rows = self.sampler.rows()
        # Lightning counts batches and never asks for one after the last: nothing after the loop would run.
        resume, self._resume = self._resume, {}
        start = resume["next_batch"] if resume.get("epoch") == self.sampler.epoch else 0
        for batch in range(start, len(self)):
            self._next_batch = batch + 1
            chosen = rows[batch * self.batch_size : (batch + 1) * self.batch_size]
            tensors = (torch.from_numpy(array[chosen]) for array in self.arrays)
            yield tuple(tensor.pin_memory() if self.pin_memory else tensor for tensor in tensors)

    def state_dict(self) -> dict[str, int]:
        """Where in the epoch this loader stands; saved in checkpoints."""
        return {"epoch": self.sampler.epoch, "next_batch": self._next_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at the batch after the last one seen, if the next iteration is over the same epoch."""
        self._resume = dict(state)


def shuffled(rows: NDArray[np.int64], seed: int) -> Order:
    """An order that shuffles `rows` anew each epoch, reproducibly from `seed`."""
    return lambda epoch: np.random.default_rng((seed, epoch)).permutation(rows)
