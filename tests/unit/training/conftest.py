"""Small modules and data for the training room's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from mlopsproject.core.classes import FIVE
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.training.module import ExpressionModule

REFERENCE = {"_target_": "mlopsproject.training.networks.ReferenceCNN", "filters": [2, 4], "hidden": 8, "dropout": 0.1}
OPTIM = {
    "name": "sgd",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "one_cycle",
    "warmup": 0.2,
    "label_smoothing": 0.0,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_module() -> Callable[..., ExpressionModule]:
    """An untrained module: ``make_module(classes=("a", "b"), model={...}, size=16)``; equal seeds, equal weights.

    Further arguments are those of `ExpressionModule`.
    """

    def make(
        *,
        classes: tuple[str, ...] = FIVE,
        model: dict[str, Any] | None = None,
        size: int = 16,
        seed: int = 0,
        lr: float = 0.1,
        **others: Any,
    ) -> ExpressionModule:
        torch.manual_seed(seed)
        settings = {
            "model": model or REFERENCE,
            "classes": list(classes),
            "input_spec": InputSpec(size=size).model_dump(mode="json"),
            "optim": OPTIM,
            "augment": {"flip": 0.5},
            "epochs": 2,
            "lr": lr,
            "data": {"name": "none", "fingerprint": "0"},
        }
        return ExpressionModule(**settings | others).eval()

    return make


@pytest.fixture(scope="session")
def random_dataset() -> FaceDataset:
    """Random 16 x 16 pictures of two classes: 30 and 10 in train, 5 and 5 in validation and in test."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 10 + [0, 1] * 10, np.int64)
    rows = np.arange(60)
    return FaceDataset(
        name="random",
        classes=("happy", "sad"),
        images=rng.integers(0, 256, (60, 1, 16, 16), dtype=np.uint8),
        labels=labels,
        splits={"train": rows[:40], "validation": rows[40:50], "test": rows[50:]},
        manifest=pa.table({"group": rows}),
        fingerprint="0" * 16,
        info={},
    )
