"""How fast training is: a real epoch against a plain PyTorch loop, compute alone and the machine's ceiling."""

from __future__ import annotations

import logging
import multiprocessing
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlopsproject.config import load_config, values
from mlopsproject.core.checks import check_whole
from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import input_spec, open_dataset
from mlopsproject.training.benchmark_sides import ceiling, compute_only, our_epoch, plain_loop
from mlopsproject.training.hardware import Compute, choose_compute
from mlopsproject.training.settings import check_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speeds:
    """Images per second of one network at one size, the best of all timed epochs: other work only ever slows a side.

    Args:
        plain: ImageFolder, DataLoader with two workers, fp32, no augmentation.
        epoch: a real epoch of ours without augmentation.
        augmented: a real epoch of ours with the configured augmentation.
        compute: steps on batches that are already in memory, with our settings.
        ceiling: the network's multiply-adds at this machine's speed of a large matrix product in our precision, which
            no direct convolution exceeds.
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

    Raises:
        UserError: for settings or data that cannot be measured.
    """
    check_whole("train.rounds", rounds, lowest=1)
    # All of them first: a wrong one must not be found after the others were measured.
    composed = [_compose(number, case, overrides) for number, case in enumerate(cases)]
    figures: dict[str, dict[str, float]] = {}
    for case, settings in zip(cases, composed, strict=True):
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


def _compose(number: int, case: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The training config of one case, checked."""
    settings = values(
        load_config("train", [f"model={case['model']}", f"data.size={case['size']}", *overrides, "~logger"])
    )
    check_settings(settings)
    # An epoch needs one whole batch.
    check_whole(f"train.cases[{number}].images", case["images"], lowest=settings["batch_size"])
    input_spec(settings["data"])
    return settings


def benchmark_training(
    dataset: FaceDataset, spec: InputSpec, settings: Mapping[str, Any], compute: Compute, *, images: int, rounds: int
) -> Speeds:
    """Measure one network on a data set's training images.

    The sides of `Speeds` take turns, so that a slow minute of the machine hits all of them.

    Args:
        dataset: whose training images both epochs use: ours from memory, the plain loop as JPEG files of the same
            pixels.
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
            "plain": partial(plain_loop, Path(folder), spec, settings, len(dataset.classes)),
            "compute": partial(compute_only, subset, spec, settings, compute),
            "epoch": partial(our_epoch, subset, spec, {**settings, "augment": quiet}, compute),
            "augmented": partial(our_epoch, subset, spec, settings, compute),
            "ceiling": partial(ceiling, subset, spec, settings, compute),
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
    """Training images drawn at random, in memory, repeated until an epoch has `images` of them."""
    rows = np.random.default_rng(0).permutation(dataset.splits["train"])[:images]
    return replace(
        dataset,
        images=np.ascontiguousarray(dataset.images[rows]),
        labels=dataset.labels[rows],
        splits={"train": np.resize(np.arange(len(rows)), images), "validation": np.arange(1), "test": np.arange(1)},
        manifest=dataset.manifest.slice(0, 0),
        info={},
    )


def _write_image_folder(dataset: FaceDataset, folder: Path) -> None:
    for position, row in enumerate(dataset.splits["train"]):
        pixels = dataset.images[row]
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        place = folder / dataset.classes[dataset.labels[row]]
        place.mkdir(exist_ok=True)
        picture.save(place / f"{position:07d}.jpg", quality=90)
