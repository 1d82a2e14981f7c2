"""The sides of the training benchmark: each measures images per second in the process it is called in."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.training.callbacks import AveragedWeights
from mlopsproject.training.datamodule import FaceDataModule
from mlopsproject.training.factory import build_network
from mlopsproject.training.hardware import Compute
from mlopsproject.training.module import ExpressionModule, build_module
from mlopsproject.training.networks import count_macs
from mlopsproject.training.optimisation import build_optimiser
from mlopsproject.training.trainer import build_trainer, prepare_process

#: Of one side in one process; one more before them warms up.
TIMED_EPOCHS = 2

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class _Stopwatch(pl.Callback):
    """Times whole epochs, from the first batch to the last optimiser step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def plain_loop(folder: Path, spec: InputSpec, settings: Mapping[str, Any], classes: int) -> float:
    """What a tutorial writes: files, two workers, fp32, one optimiser."""
    device = _device(settings)
    steps = [transforms.Grayscale(spec.channels), transforms.Resize((spec.size, spec.size)), transforms.ToTensor()]
    pipeline = transforms.Compose([*steps, transforms.Normalize(spec.mean, spec.std)])
    loader = DataLoader(
        ImageFolder(str(folder), pipeline),
        batch_size=settings["batch_size"],
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        drop_last=True,
    )
    network = build_network(settings["model"], classes=classes, channels=spec.channels, size=spec.size).to(device)
    optimiser = build_optimiser(network, settings["lr"], settings["optim"])

    def epoch() -> None:
        for images, labels in loader:
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(images.to(device)), labels.to(device))
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        _wait(device)

    return len(loader) * int(settings["batch_size"]) / _fastest(epoch)


def _device(settings: Mapping[str, Any]) -> torch.device:
    return torch.device("cuda" if settings["trainer"]["accelerator"] == "gpu" else "cpu")


def _wait(device: torch.device) -> None:
    """Let a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fastest(epoch: Callable[[], None]) -> float:
    """Seconds of the fastest timed epoch."""
    seconds = []
    for _ in range(1 + TIMED_EPOCHS):
        start = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _module(
    dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute, epochs: int
) -> ExpressionModule:
    # The calm last epochs leave work out; here every epoch does all of it.
    augment = {**settings["augment"], "calm_epochs": 0.0}
    return build_module({**settings, "augment": augment, "epochs": epochs}, spec, dataset, compute)


def our_epoch(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Real epochs through Lightning with averaged weights."""
    prepare_process(settings["trainer"])
    watch = _Stopwatch()
    module = _module(dataset, spec, settings, compute, epochs=1 + TIMED_EPOCHS)
    averaging = (
        [AveragedWeights(settings["callbacks"]["ema"], settings["callbacks"]["ema_ramp"])]
        if settings["callbacks"]["ema"]
        else []
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            {**settings["trainer"], "limit_val_batches": 0, "limit_train_batches": 1.0},
            compute,
            epochs=1 + TIMED_EPOCHS,
            output=Path(folder),
            callbacks=[watch, *averaging],
            loggers=[],
            checkpoints=False,
        )
        trainer.fit(module, datamodule=FaceDataModule(dataset, batch_size=settings["batch_size"]))
    steps = len(dataset.splits["train"]) // int(settings["batch_size"])
    return steps * int(settings["batch_size"]) / min(watch.seconds[1:])


def compute_only(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Forward, backward and optimiser step on one resident batch of noise, precision and layout as in our epochs."""
    prepare_process(settings["trainer"])
    module = _module(dataset, spec, settings, compute, epochs=1)
    device = _device(settings)
    module.to(device)
    network = module.network.train()
    optimiser = build_optimiser(network, settings["lr"], settings["optim"])
    size = int(settings["batch_size"])
    images = torch.randn(size, spec.channels, spec.size, spec.size, device=device)
    images = images.contiguous(memory_format=module.memory_format)
    labels = torch.randint(0, len(dataset.classes), (size,), device=device)
    mixed = MIXED.get(compute.precision)

    steps = len(dataset.splits["train"]) // size

    def epoch() -> None:
        for _ in range(steps):
            with torch.autocast(device.type, mixed, enabled=mixed is not None):
                loss = functional.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if settings["trainer"]["gradient_clip_val"]:
                nn.utils.clip_grad_norm_(network.parameters(), settings["trainer"]["gradient_clip_val"])
            optimiser.step()
        _wait(device)

    return steps * size / _fastest(epoch)


def ceiling(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Images per second at which a step takes as long as its multiply-adds do in one large matrix product.

    A step is counted as three products (output, gradient of input, gradient of weights) per layer of a forward pass.
    """
    prepare_process(settings["trainer"])
    device = _device(settings)
    side = 2048 if device.type == "cpu" else 8192
    matrix = torch.randn(side, side, device=device, dtype=MIXED.get(compute.precision, torch.float32))
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        _wait(device)
        seconds.append(time.perf_counter() - start)
    network = build_network(settings["model"], classes=len(dataset.classes), channels=spec.channels, size=spec.size)
    return side**3 / min(seconds) / (3 * count_macs(network, spec.channels, spec.size))
