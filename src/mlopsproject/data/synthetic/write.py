"""Writes synthetic faces as class folders, in the layout of the real Kaggle set, and draws contact sheets of them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mlopsproject.core.classes import FIVE, SEVEN, resolve_classes
from mlopsproject.core.errors import DataError
from mlopsproject.data.synthetic.action_units import check_emotion
from mlopsproject.data.synthetic.render import render_face

logger = logging.getLogger(__name__)

JPEG_QUALITY = 90

#: Relative class sizes: slightly uneven, like a real set.
SHARES: Mapping[str, float] = {
    "angry": 1.0,
    "disgust": 0.7,
    "fear": 0.95,
    "happy": 1.25,
    "sad": 1.05,
    "surprise": 0.85,
    "neutral": 1.0,
}


def folder_name(emotion: str) -> str:
    """The class's folder in the Kaggle set "Human Face Emotions", which spells one of them `Suprise`."""
    return "Suprise" if emotion == "surprise" else emotion.capitalize()


def class_counts(images: int, classes: Sequence[str], *, balanced: bool = False) -> dict[str, int]:
    """Divide a number of images among classes.

    Args:
        images: total, at least one per class.
        classes: names out of the seven.
        balanced: equal counts (they differ by one at most) instead of `SHARES`.

    Returns:
        Images per class, in the order of `classes`; they add up to `images`.

    Raises:
        DataError: for an unknown class or fewer images than classes.
    """
    if images < len(classes):
        raise DataError(f"images={images} is fewer than the {len(classes)} classes.", "Ask for one per class at least.")
    shares = np.array([1.0 if balanced else SHARES[check_emotion(name)] for name in classes])
    exact = (images - len(classes)) * shares / shares.sum()
    counts = np.floor(exact).astype(int)
    for index in np.argsort(counts - exact, kind="stable")[: images - len(classes) - counts.sum()]:
        counts[index] += 1
    return {name: int(count) + 1 for name, count in zip(classes, counts, strict=True)}


def sample_face(emotion: str, index: int, *, seed: int, size: int = 64, drift: bool = False) -> NDArray[np.uint8]:
    """Face number `index` of a class: the same whatever else is written and in whatever order.

    Returns:
        Gray image, uint8 [size, size].
    """
    rng = np.random.default_rng([seed, SEVEN.index(check_emotion(emotion)), index, int(drift)])
    return render_face(emotion, rng, size, drift=drift)


def write_dataset(
    folder: str | Path,
    *,
    images: int = 2600,
    classes: str | Sequence[str] = FIVE,
    seed: int = 0,
    size: int = 64,
    drift: bool = False,
    balanced: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Write a data set of synthetic faces as `<folder>/<Class>/<class>_<number>.jpg`.

    The folder appears complete or not at all: files go to a temporary folder beside it, which is then renamed.

    Args:
        folder: must not exist, or be empty.
        images: how many in all.
        classes: preset name or names out of the seven.
        seed: equal seeds give equal images.
        size: side of the images in pixels.
        drift: True for the drifted world (dim, blurred, turned, half hidden).
        balanced: equal classes instead of slightly uneven ones.
        progress: show a progress bar.

    Returns:
        Images written per class.

    Raises:
        ConfigError: for an unknown preset of classes.
        DataError: if the folder holds something already or cannot be written, or for an unknown class, size or number.
    """
    target = Path(folder)
    _refuse_content(target)
    counts = class_counts(images, resolve_classes(classes), balanced=balanced)
    jobs = ((name, index) for name, count in counts.items() for index in range(count))
    staging = target.parent / f".{target.name}-{os.getpid()}"
    try:
        staging.mkdir(parents=True)
        try:
            for name, index in track(jobs, f"Drawing {target.name}", images, disable=not progress):
                _save(staging, name, index, sample_face(name, index, seed=seed, size=size, drift=drift))
            if target.exists():
                target.rmdir()
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise DataError(f"Cannot write {target}: {error.strerror or error}.", "Nothing was left behind.") from error
    logger.info("Wrote %d synthetic faces to %s", images, target)
    return counts


def contact_sheet(
    classes: Sequence[str] = FIVE,
    *,
    columns: int = 8,
    seed: int = 0,
    size: int = 64,
    zoom: int = 2,
    drift: bool = False,
) -> NDArray[np.uint8]:
    """A labelled row of faces per class: the first `columns` images of the data set with this seed.

    Returns:
        Gray image, uint8 [len(classes) * size * zoom, margin + columns * size * zoom].
    """
    rows = []
    for name in classes:
        faces = np.hstack([sample_face(name, index, seed=seed, size=size, drift=drift) for index in range(columns)])
        faces = faces.repeat(zoom, axis=0).repeat(zoom, axis=1)
        label = np.full((size * zoom, 110), 255, np.uint8)
        cv2.putText(label, name, (8, size * zoom // 2 + 6), cv2.FONT_HERSHEY_SIMPLEX, 0.62, 0, 1, cv2.LINE_AA)
        rows.append(np.hstack([label, faces]))
    return np.vstack(rows)


def _refuse_content(target: Path) -> None:
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        raise DataError(f"{target} exists and is not empty.", "Name another folder, or remove this one first.")


def _save(staging: Path, emotion: str, index: int, face: NDArray[np.uint8]) -> None:
    path = staging / folder_name(emotion) / f"{emotion}_{index:05d}.jpg"
    path.parent.mkdir(exist_ok=True)
    _, code = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(code.tobytes())
