"""Soft 3-D light: a height field of the face, its surface normals, and Lambert shading with a little gloss."""

from __future__ import annotations

import cv2
import numpy as np

from mlopsproject.data.synthetic.action_units import Expression
from mlopsproject.data.synthetic.drawing import Canvas, FloatImage, blur, resize
from mlopsproject.data.synthetic.geometry import SIDES, FaceShape
from mlopsproject.data.synthetic.identity import Identity
from mlopsproject.data.synthetic.scene import Scene

_DEPTH = 0.62


def relief(canvas: Canvas, shape: FaceShape, person: Identity, expression: Expression) -> FloatImage:
    """Height of the skin's relief above the head's dome, in face units, float32 of the canvas size."""
    tip, units = shape.nose_tip, expression.both()
    rise = np.interp(canvas.y, [person.eye_y - 0.14, person.eye_y, tip - 0.02, tip + 0.06], [0.0, 0.05, 0.16, 0.0])
    ridge = np.exp(-0.5 * (canvas.x / (0.5 * person.nose_width)) ** 2)
    height = np.outer(rise.astype(np.float32), ridge.astype(np.float32))
    # x, y, standard deviations across and down, height
    bumps = [(0.0, tip - 0.01, 0.6 * person.nose_width, 0.05, 0.05)]
    mouth_y = float(shape.mouth.lower_outer[:, 1].max())
    bumps.append((0.0, shape.chin_y - 0.10, 0.13, 0.06, 0.05 + 0.03 * units[17]))
    bumps.append((0.0, person.mouth_y, 0.24, 0.12, 0.05))
    bumps.append((0.0, mouth_y + 0.025, 0.13, 0.022, -0.014 - 0.012 * units[17]))
    for sign in SIDES:
        side = expression.side(sign)
        x = sign * person.eye_spacing
        cheek = 0.045 + 0.055 * side[12] + 0.035 * side[6]
        bumps.append((1.15 * x, person.eye_y + 0.30 - 0.04 * side[12], 0.13, 0.11, cheek))
        bumps.append((x, person.eye_y - 0.01, 0.15, 0.075, -0.065))
        bumps.append((x, person.eye_y - 0.85 * person.brow_gap + 0.06 * side[4], 0.17, 0.05, 0.035))
        bumps.append((sign * 0.9 * person.nose_width, tip + 0.0, 0.035, 0.035, 0.05))
    for x, y, width, tall, amount in bumps:
        height += np.float32(amount) * canvas.bump(x, y, width, tall)
    return height


def head_dome(canvas: Canvas, shape: FaceShape, person: Identity) -> FloatImage:
    """Height of the head as half an ellipsoid, in face units, float32 of the canvas size."""
    middle, half = (shape.chin_y - 1.05) / 2, (shape.chin_y + 1.15) / 2
    across = ((canvas.x / (person.face_width + 0.06)) ** 2).astype(np.float32)
    down = (((canvas.y - middle) / half) ** 2).astype(np.float32)
    inside = np.maximum((1 - across)[None, :] - down[:, None], np.float32(0.03))
    dome: FloatImage = np.float32(_DEPTH) * np.sqrt(inside)
    return dome


def shade(height: FloatImage, resolution: float, scene: Scene) -> tuple[FloatImage, FloatImage]:
    """Light on the height field.

    Returns:
        The diffuse factor (about 1 where the face looks at the camera) and the gloss to add, both float32.
    """
    small = blur(resize(height, height.shape[0] // 2, cv2.INTER_AREA), 0.012 * resolution)
    slope = 0.5 * resolution / 8  # Sobel's sum of weights, at half the resolution
    across = np.asarray(cv2.Sobel(small, cv2.CV_32F, 1, 0, ksize=3), np.float32) * np.float32(slope)
    down = np.asarray(cv2.Sobel(small, cv2.CV_32F, 0, 1, ksize=3), np.float32) * np.float32(slope)
    tilt_x, tilt_y = np.float32(scene.light_x), np.float32(scene.light_y)
    # Divided by the light's share along the view, so that a surface that faces the camera stays at 1.
    lambert = (1 - across * tilt_x - down * tilt_y) / np.sqrt(across * across + down * down + 1)
    lambert = np.clip(lambert, 0.0, 1.35)
    diffuse = np.float32(scene.ambient) + np.float32(1 - scene.ambient) * lambert
    gloss = np.float32(0.10) * np.maximum(lambert - 1, np.float32(0))
    return resize(diffuse, height.shape[0]), resize(gloss, height.shape[0])
