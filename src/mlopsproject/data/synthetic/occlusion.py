"""What hides part of a face: a hand, a microphone, a scarf, a lock of hair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlopsproject.data.synthetic.drawing import Canvas, FloatImage, ellipse, ribbon, spline
from mlopsproject.data.synthetic.geometry import FaceShape
from mlopsproject.data.synthetic.identity import Identity


@dataclass(frozen=True)
class Target:
    """The face to hide a part of: its canvas and layers (float32, of the canvas size), its curves and its owner."""

    canvas: Canvas
    albedo: FloatImage
    alpha: FloatImage
    shape: FaceShape
    person: Identity


def occlude(kind: str, target: Target, rng: np.random.Generator) -> None:
    """Paint something in front of the face, in place; `kind` is one of `scene.OCCLUSIONS`."""
    if kind != "none":
        _PAINTERS[kind](target, rng)


def _hand(target: Target, rng: np.random.Generator) -> None:
    canvas, albedo, skin = target.canvas, target.albedo, target.person.skin
    side = _side(rng)
    x, y = side * rng.uniform(0.36, 0.55), rng.uniform(0.55, 0.8)
    for finger in range(4):
        foot = (x + side * 0.10 * finger, y + 0.25)
        line = spline([foot, (foot[0] - side * 0.05, y - 0.12 - 0.05 * (finger % 3))])
        canvas.fill(albedo, ribbon(line, 0.115), 0.55 * skin, soft=0.01)
        canvas.fill(albedo, ribbon(line, 0.090), 0.92 * skin, soft=0.012)
    palm = ellipse(x + side * 0.14, y + 0.32, 0.26, 0.24)
    canvas.fill(albedo, palm, 0.9 * skin, soft=0.01)
    canvas.fill(target.alpha, palm, 1.0, soft=0.01)


def _microphone(target: Target, rng: np.random.Generator) -> None:
    side = _side(rng)
    x, y = side * rng.uniform(0.25, 0.6), rng.uniform(0.45, 1.0)
    handle, head = ribbon(np.array([(x, y), (x + side * 0.5, 1.3)]), 0.10), ellipse(x, y, 0.11, 0.11)
    for layer, handle_value, head_value in zip((target.albedo, target.alpha), (0.12, 1.0), (0.2, 1.0), strict=True):
        target.canvas.fill(layer, handle, handle_value, soft=0.006)
        target.canvas.fill(layer, head, head_value, soft=0.006)


def _scarf(target: Target, rng: np.random.Generator) -> None:
    y = target.shape.chin_y - rng.uniform(0.0, 0.16)
    cloth = spline([(-0.95, y - 0.12), (0.0, y + 0.04), (0.95, y - 0.12), (1.1, 1.3), (-1.1, 1.3)], closed=True)
    for layer, value in zip((target.albedo, target.alpha), (rng.uniform(0.1, 0.8), 1.0), strict=True):
        target.canvas.fill(layer, cloth, value, soft=0.01)


def _lock(target: Target, rng: np.random.Generator) -> None:
    side = _side(rng)
    top, middle = (side * rng.uniform(0.0, 0.2), -0.9), (side * rng.uniform(0.3, 0.45), -0.45)
    line = spline([top, middle, (side * rng.uniform(0.35, 0.6), 0.1)])
    strand = ribbon(line, np.linspace(0.22, 0.05, len(line)))
    target.canvas.fill(target.albedo, strand, target.person.hair, 0.95, soft=0.012)


def _side(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


_PAINTERS: Mapping[str, Callable[[Target, np.random.Generator], None]] = {
    "hand": _hand,
    "microphone": _microphone,
    "scarf": _scarf,
    "lock": _lock,
}
