"""From the painted, lit face to a photograph: pose, background, lens, sensor and compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.synthetic.drawing import EXTENT, Canvas, FloatImage, blur, resize
from mlopsproject.data.synthetic.scene import Scene

_MID_GRAY = 0.45


def turn_head(layers: list[FloatImage], canvas: Canvas, depth: FloatImage, scene: Scene, size: int) -> list[FloatImage]:
    """Look at the canvas from the scene's angle.

    Every output pixel is traced back to the canvas; near parts (nose) move more than far ones (ears).

    Args:
        layers: float32 images of the canvas size.
        canvas: their coordinate system.
        depth: height of the surface above the face's plane, in face units.
        scene: yaw, pitch, roll, scale and shift.
        size: side of the output, in pixels; it covers -1 to 1.

    Returns:
        The layers as seen, float32 [size, size].
    """
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1).astype(np.float32)
    u = (axis[None, :] - np.float32(scene.shift_x)) / np.float32(scene.scale)
    v = (axis[:, None] - np.float32(scene.shift_y)) / np.float32(scene.scale)
    cosine, sine = np.float32(np.cos(scene.roll)), np.float32(np.sin(scene.roll))
    x, y = cosine * u + sine * v, cosine * v - sine * u
    yaw, pitch = np.float32(np.sin(scene.yaw)), np.float32(np.sin(scene.pitch))
    # Two fixed-point steps: the shift depends on the depth at the place that is looked for.
    source_x, source_y = x, y
    for _ in range(2):
        z = _look_up(depth, source_x, source_y, canvas)
        source_x = x / np.float32(np.cos(scene.yaw)) - yaw * (z - np.float32(0.30))
        source_y = y / np.float32(np.cos(scene.pitch)) - pitch * (z - np.float32(0.30))
    return [_look_up(layer, source_x, source_y, canvas) for layer in layers]


def _look_up(layer: FloatImage, x: FloatImage, y: FloatImage, canvas: Canvas) -> FloatImage:
    """Values of a layer at the given places, in face units."""
    across, down = ((place + np.float32(EXTENT)) * np.float32(canvas.resolution) - np.float32(0.5) for place in (x, y))
    seen = cv2.remap(layer, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float32)


def make_background(scene: Scene, rng: np.random.Generator, size: int) -> FloatImage:
    """A blurred room: gradient, large blobs and sometimes a straight edge; float32 [size, size]."""
    coarse = rng.standard_normal((5, 5), dtype=np.float32) * np.float32(0.10)
    room = resize(coarse, size, cv2.INTER_CUBIC) + np.float32(scene.background)
    room += np.linspace(-1, 1, size, dtype=np.float32)[None, :] * np.float32(rng.normal(0, 0.10))
    if rng.random() < 0.35:
        edge = int(rng.uniform(0.05, 0.95) * size)
        room[:, edge:] += np.float32(rng.normal(0, 0.18))
        room = blur(room, 0.01 * size)
    return np.clip(room, 0.0, 1.0, out=room)


def photograph(image: FloatImage, scene: Scene, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Lens, sensor and JPEG.

    Args:
        image: light, float32 [S, S], S a multiple of `size`, 0 to 1.
        scene: exposure, gamma, contrast, blur, noise, vignette, quality.
        rng: source of the noise.
        size: side of the photograph, in pixels.

    Returns:
        uint8 [size, size].
    """
    small = resize(image, size, cv2.INTER_AREA)
    if scene.blur > 0.15:
        small = blur(small, scene.blur * size / 64)
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    small = small * (1 - np.float32(0.5 * scene.vignette) * (axis[None, :] + axis[:, None]))
    small = np.clip(small * np.float32(scene.exposure), 0.0, 1.0) ** np.float32(scene.gamma)
    # Contrast turns about mid-gray as exposed, so that a dim photograph stays dim.
    pivot = np.float32(_MID_GRAY * min(1.0, scene.exposure))
    small = pivot + (small - pivot) * np.float32(scene.contrast)
    small = small + rng.standard_normal((size, size), dtype=np.float32) * np.float32(scene.noise)
    pixels = np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)
    _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality])
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.uint8)
