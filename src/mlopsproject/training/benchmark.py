"""How fast training is: a real epoch against a plain PyTorch loop and against compute alone, in one run."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from mlopsproject.config import load_config, values
from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import input_spec, open_dataset
from mlopsproject.training.callbacks import AveragedWeights
from mlopsproject.training.datamodule import FaceDataModule
from mlopsproject.training.factory import build_network
from mlopsproject.training.hardware import Compute, choose_compute
from mlopsproject.training.module import ExpressionModule, build_module
from mlopsproject.training.networks import count_macs
from mlopsproject.training.optimisation import build_optimiser
from mlopsproject.training.trainer import build_trainer, prepare_process

log = logging.getLogger(__name__)

#: Of one side in one process; one more before them warms up.
TIMED_EPOCHS = 2

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Speeds:
    """Images per second of one network at one size, the best of all timed epochs: other work only ever slows a side.

    Args:
        plain: ImageFolder, DataLoader with two workers, fp32, no augmentation.
        epoch: a real epoch of ours without augmentation.
        augmented: a real epoch of ours with the configured augmentation.
        compute: steps on batches that are already in memory, with our settings.
        ceiling: what no implementation in this precision can exceed here: the network's multiply-adds at the speed of a
            large matrix product.
    """

    plain: float
    epoch: float
    augmented: float
    compute: float
    ceiling: float

    @property
    def ratios(self) -> dict[str, float]:
        """The figures that hold on any machine."""
        return {
            "epoch / plain loop": self.epoch / self.plain,
            "epoch / compute only": self.epoch / self.compute,
            "augmented epoch / compute only": self.augmented / self.compute,
            "ceiling / plain loop": self.ceiling / self.plain,
        }


def benchmark_cases(
    cases: Sequence[Mapping[str, Any]], overrides: Sequence[str] = (), rounds: int = 3
) -> dict[str, dict[str, float]]:
    """Measure networks at sizes, with the rest of `configs/train.yaml` as it is.

    Args:
        cases: each with `model`, `size` and `images` (per epoch).
        overrides: further ones of `configs/train.yaml`.
        rounds: how often every side is measured.

    Returns:
        Speeds and their ratios by case.
    """
    figures: dict[str, dict[str, float]] = {}
    for case in cases:
        settings = values(
            load_config("train", [f"model={case['model']}", f"data.size={case['size']}", *overrides, "~logger"])
        )
        trainer = settings["trainer"]
        compute = choose_compute(
            trainer["accelerator"], trainer["precision"], trainer["channels_last"], trainer["compile"]
        )
        spec = input_spec(settings["data"])
        dataset = open_dataset(settings["data"], spec, classes=resolve_classes(settings["classes"]))
        speeds = benchmark_training(dataset, spec, settings, compute, images=case["images"], rounds=rounds)
        name = f"{case['model']} at {case['size']} px, {compute.precision}{', compiled' if compute.compile else ''}"
        figures[name] = {f"{side}, images/s": speed for side, speed in vars(speeds).items()} | speeds.ratios
    return figures


class _Stopwatch(pl.Callback):
    """Times whole epochs, from the first batch to the last optimiser step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def benchmark_training(
    dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute, *, images: int, rounds: int
) -> Speeds:
    """Measure one network on a data set's training images.

    Plain loop, compute alone and our epochs take turns, so that a slow minute of the machine hits all of them.

    Args:
        dataset: whose training images both sides use; ours reads its
            cache, the plain loop JPEG files of the same pixels.
        spec: the network's input.
        settings: `model`, `optim`, `augment`, `trainer`, `callbacks`, `lr`, `batch_size` as in `configs/train.yaml`.
        compute: precision, layout and compilation of our side.
        images: per epoch.
        rounds: how often everything is measured.
    """
    subset = _subset(dataset, images)
    quiet = {**settings["augment"], **dict.fromkeys(("flip", "rotation", "translation", "scale"), 0.0)}
    quiet |= dict.fromkeys(("brightness", "contrast", "erasing", "mixup_alpha"), 0.0)
    with tempfile.TemporaryDirectory(prefix="mlopsproject-benchmark-") as folder:
        _write_image_folder(subset, Path(folder))
        sides: dict[str, Callable[[], float]] = {
            "plain": partial(_plain_loop, Path(folder), spec, settings, len(dataset.classes)),
            "compute": partial(_compute_only, subset, spec, settings, compute),
            "epoch": partial(_our_epoch, subset, spec, {**settings, "augment": quiet}, compute),
            "augmented": partial(_our_epoch, subset, spec, settings, compute),
            "ceiling": partial(_ceiling, subset, spec, settings, compute),
        }
        measured: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(rounds):
            for name, side in sides.items():
                measured[name].append(_in_new_process(side))
                log.info("round %d/%d  %s: %.0f images/s", turn + 1, rounds, name, measured[name][-1])
    return Speeds(**{name: max(values) for name, values in measured.items()})


def _in_new_process(side: Callable[[], float]) -> float:
    """Measure in a fresh process: threads and the allocator are settings of a process, which no side may pass on."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_be_quiet) as pool:
        return pool.submit(side).result()


def _be_quiet() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def _subset(dataset: FaceDataset, images: int) -> FaceDataset:
    """The first training images in memory, repeated until an epoch has `images` of them."""
    rows = dataset.splits["train"][:images]
    return replace(
        dataset,
        images=np.ascontiguousarray(dataset.images[rows]),
        labels=dataset.labels[rows],
        splits={"train": np.resize(np.arange(len(rows)), images), "validation": np.arange(1), "test": np.arange(1)},
        manifest=dataset.manifest.slice(0, 0),
        info={},
    )


def _write_image_folder(dataset: FaceDataset, folder: Path) -> None:
    for name in dataset.classes:
        (folder / name).mkdir()
    for position, row in enumerate(dataset.splits["train"]):
        pixels = dataset.images[row]
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        picture.save(folder / dataset.classes[dataset.labels[row]] / f"{position:07d}.jpg", quality=90)


def _plain_loop(folder: Path, spec: InputSpec, settings: Mapping[str, Any], classes: int) -> float:
    """What a tutorial writes: files, two workers, fp32, one optimiser."""
    steps = [transforms.Grayscale(), transforms.Resize((spec.size, spec.size)), transforms.ToTensor()]
    pipeline = transforms.Compose([*steps, transforms.Normalize(spec.mean, spec.std)])
    loader = DataLoader(
        ImageFolder(str(folder), pipeline),
        batch_size=settings["batch_size"],
        shuffle=True,
        num_workers=2,
        persistent_workers=True,
        drop_last=True,
    )
    network = build_network(settings["model"], classes=classes, channels=spec.channels, size=spec.size)
    optimiser = build_optimiser(network, settings["lr"], settings["optim"])

    def epoch() -> None:
        for images, labels in loader:
            optimiser.zero_grad()
            functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return len(loader) * int(settings["batch_size"]) / _fastest(epoch)


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


def _our_epoch(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Real epochs through Lightning with averaged weights."""
    watch = _Stopwatch()
    module = _module(dataset, spec, settings, compute, epochs=1 + TIMED_EPOCHS)
    averaging = [AveragedWeights(settings["callbacks"]["ema"])] if settings["callbacks"]["ema"] else []
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


def _compute_only(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Forward, backward and optimiser step on one resident batch of noise, precision and layout as in our epochs."""
    prepare_process(settings["trainer"])
    module = _module(dataset, spec, settings, compute, epochs=1)
    device = torch.device("cuda" if settings["trainer"]["accelerator"] == "gpu" else "cpu")
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
        if device.type == "cuda":
            torch.cuda.synchronize()

    return steps * size / _fastest(epoch)


def _ceiling(dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute) -> float:
    """Training needs three products (output, gradient of input, gradient of weights) per layer of a forward pass."""
    prepare_process(settings["trainer"])
    device = torch.device("cuda" if settings["trainer"]["accelerator"] == "gpu" else "cpu")
    side = 2048 if device.type == "cpu" else 8192
    matrix = torch.randn(side, side, device=device, dtype=MIXED.get(compute.precision, torch.float32))
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    network = build_network(settings["model"], classes=len(dataset.classes), channels=spec.channels, size=spec.size)
    return side**3 / min(seconds) / (3 * count_macs(network, spec.channels, spec.size))
