"""Finished training runs, which several files look at."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch

from mlopsproject.config import load_config, values
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.opening import input_spec
from mlopsproject.training.callbacks import MetricHistory
from mlopsproject.training.hardware import choose_compute
from mlopsproject.training.module import ExpressionModule, build_module
from mlopsproject.training.run import TrainingResult, fit, train
from mlopsproject.training.tracking import build_loggers


class Run(NamedTuple):
    """A finished training run with W&B offline."""

    result: TrainingResult
    output: Path
    store: Path
    data: Path
    dataset: FaceDataset


@pytest.fixture(scope="session")
def run(drawn_faces: Path, quick_training: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished training run of four epochs with W&B offline. Shared: do not change it."""
    folder = tmp_path_factory.mktemp("training")
    output, store = folder / "runs" / "train" / "now", folder / "models"
    overrides = [*quick_training, f"store.uri={store}", "epochs=4", "wandb.enabled=true", "wandb.mode=offline"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_CACHE_DIR", str(folder / "cache"))
        patch.setenv("WANDB_DATA_DIR", str(folder / "staging"))
        result = train(load_config("train", overrides), output)
    return Run(result, output, store, drawn_faces, load_dataset("drawn", root=drawn_faces, size=16))


class Fitted(NamedTuple):
    """A finished fit."""

    trainer: pl.Trainer
    module: ExpressionModule
    folder: Path

    @property
    def history(self) -> list[dict[str, float]]:
        return next(each for each in self.trainer.callbacks if isinstance(each, MetricHistory)).epochs

    def checkpoint(self, name: str = "last") -> dict[str, Any]:
        return torch.load(self.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.fixture
def run_fit(
    drawn_faces: Path, quick_training: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Fitted]]:
    """``run_fit(*overrides, resume=None, name="run")`` trains three epochs of ten steps in ``tmp_path/name``.

    The working folder is ``tmp_path``.
    """
    monkeypatch.chdir(tmp_path)
    dataset: FaceDataset = load_dataset("drawn", root=drawn_faces, size=16)
    handler = signal.getsignal(signal.SIGINT)

    def run(*overrides: str, resume: Path | None = None, name: str = "run", base: list[str] | None = None) -> Fitted:
        chosen = [*(base or [*quick_training, "epochs=3"]), "trainer.precision=32-true", *overrides]
        settings = values(load_config("train", chosen))
        pl.seed_everything(settings["seed"], verbose=False)
        compute = choose_compute("cpu", settings["trainer"]["precision"])
        module = build_module(settings, input_spec(settings["data"]), dataset, compute)
        loggers = build_loggers(settings["logger"], settings["wandb"], tmp_path / name, settings)
        return Fitted(
            fit(settings, module, dataset, compute, loggers, tmp_path / name, resume), module, tmp_path / name
        )

    yield run
    # Lightning ignores Ctrl-C for good once it has seen one.
    signal.signal(signal.SIGINT, handler)
