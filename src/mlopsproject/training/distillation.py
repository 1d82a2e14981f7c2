"""Soft labels: what trained bundles, the teachers, say to the training pictures (Hinton et al., 2015).

A label of a public data set is one annotator's choice and often wrong. The average answer of larger networks says how
likely each class is, which teaches a small network more than a hard label, and forgives wrong ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mlopsproject.core.checks import check_number
from mlopsproject.core.errors import BundleError, ConfigError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import open_dataset

log = logging.getLogger(__name__)

_CHUNK = 512
Targets = NDArray[np.float32]


def check_distill(distill: Mapping[str, Any]) -> None:
    """Refuse values of the `distill` group that no run can have.

    Raises:
        ConfigError: naming the key.
    """
    check_number("distill.weight", distill["weight"], highest=1.0)
    teachers = distill["teachers"]
    if not isinstance(teachers, list) or not all(isinstance(name, str) and name for name in teachers):
        raise ConfigError(
            f"distill.teachers={teachers} is not possible.", "Give a list of bundles, such as [production], or []."
        )


def soft_targets(settings: Mapping[str, Any], dataset: FaceDataset, *, progress: bool = True) -> Targets | None:
    """Ask the teachers of a run about every training picture and its mirror image.

    Args:
        settings: as composed from `configs/train.yaml`: `distill`, `data`, `store` and `trainer.threads`.
        dataset: to train on; a teacher may take another input size, and know more classes.
        progress: show a progress bar.

    Returns:
        The teachers' mean calibrated probabilities, float32 `[N, K]`, one row per image of the data set (0 outside the
        training split), or ``None`` without teachers.

    Raises:
        BundleError: for a missing teacher, or one that lacks a class.
    """
    teachers = settings["distill"]["teachers"]
    if not teachers:
        return None
    threads = settings["trainer"]["threads"] or 0
    loaded = [Predictor.load(name, "fp32", store=settings["store"]["uri"], threads=threads) for name in teachers]
    columns = [_columns(teacher, dataset.classes) for teacher in loaded]
    targets = np.zeros((len(dataset.labels), len(dataset.classes)), np.float32)
    rows = dataset.splits["train"]
    for teacher, chosen in zip(loaded, columns, strict=True):
        seen = open_dataset(settings["data"], teacher.spec.input, classes=dataset.classes)
        for start in track(range(0, len(rows), _CHUNK), "Asking teachers", transient=True, disable=not progress):
            part = rows[start : start + _CHUNK]
            targets[part] += _answers(teacher, np.asarray(seen.images[part]), chosen)
        agreed = float((targets[rows].argmax(axis=1) == dataset.labels[rows]).mean())
        log.info(
            "Teacher %s: after it %.1f %% of the training labels are the likeliest", teacher.model_version, 100 * agreed
        )
    targets /= len(loaded)
    return targets


def _columns(teacher: Predictor, classes: Sequence[str]) -> list[int]:
    """Where a teacher has the classes of the run."""
    known = list(teacher.spec.classes)
    missing = [name for name in classes if name not in known]
    if missing:
        raise BundleError(
            f"distill.teachers: {teacher.model_version} does not know {', '.join(missing)}.",
            f"It knows {', '.join(known)}.",
        )
    return [known.index(name) for name in classes]


def _answers(teacher: Predictor, images: NDArray[np.uint8], columns: list[int]) -> Targets:
    """Calibrated probabilities of some of a teacher's classes, averaged over pictures and their mirror images."""
    mirrored = np.ascontiguousarray(images[:, :, :, ::-1])
    logits: Targets = np.float32(0.5) * (teacher.logits(images)[0] + teacher.logits(mirrored)[0])
    # Without the other classes the rest must add up to 1 again: a softmax over fewer logits.
    return teacher.probabilities(logits[:, columns]).astype(np.float32)
