"""Soft-edged polygons on a float image in face units: the only drawing primitives that the renderer uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]
Points = NDArray[np.float64]

#: A canvas covers -EXTENT to EXTENT in both directions, so that a turned head still finds pixels outside the frame.
EXTENT = 1.2
_SHIFT = 4  # fractional bits of cv2's sub-pixel coordinates


class Canvas:
    """Maps face units (x right, y down, origin at the face's centre) to pixels and fills polygons there.

    Args:
        resolution: pixels per face unit.
    """

    def __init__(self, resolution: float) -> None:
        self.resolution = resolution
        self.size = round(2 * EXTENT * resolution)
        self.x, self.y = _axes(self.size)

    def blank(self, value: float = 0.0) -> FloatImage:
        """A float32 image [size, size] filled with a value."""
        return np.full((self.size, self.size), value, np.float32)

    def fill(
        self,
        layer: FloatImage,
        polygon: Points,
        value: float | FloatImage,
        opacity: float = 1.0,
        soft: float = 0.0,
        clip: FloatImage | None = None,
    ) -> None:
        """Blend a value or texture into the layer, inside the polygon.

        Args:
            layer: float32 [size, size], changed in place.
            polygon: [N, 2] in face units.
            value: gray value, or a texture of the canvas size.
            opacity: 0 to 1.
            soft: standard deviation of the edge's blur, in face units.
            clip: float32 [size, size], 0 to 1; limits where the value goes.
        """
        window, mask = self._mask(polygon, soft)
        mask *= opacity
        if clip is not None:
            mask *= clip[window]
        source = value if isinstance(value, float | int) else value[window]
        layer[window] += (source - layer[window]) * mask

    def scale(self, layer: FloatImage, polygon: Points, factor: float, soft: float = 0.0) -> None:
        """Multiply the layer by a factor inside the polygon (below 1 is shade, above 1 is light)."""
        window, mask = self._mask(polygon, soft)
        mask *= factor - 1.0
        mask += 1.0
        layer[window] *= mask

    def crease(self, layer: FloatImage, lines: Sequence[tuple[Points, float]], soft: float) -> None:
        """Darken the layer along many thin polygons at once.

        Args:
            layer: float32 [size, size], changed in place.
            lines: polygons with the share of light that each takes away, 0 to 1.
            soft: standard deviation of the blur, in face units.
        """
        if not lines:
            return
        pixels = [(polygon + EXTENT) * self.resolution - 0.5 for polygon, _ in lines]
        window = self._window(np.concatenate(pixels), soft)
        part = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        for points, (_, depth) in zip(pixels, lines, strict=True):
            _fill(part, points, window, round(255 * depth))
        layer[window] *= 1 - blur(part * np.float32(1 / 255), soft * self.resolution)

    def mask(self, polygon: Points, soft: float = 0.0) -> FloatImage:
        """Coverage of a polygon, float32 [size, size], 0 to 1."""
        layer = self.blank()
        window, part = self._mask(polygon, soft)
        layer[window] = part
        return layer

    def bump(self, x: float, y: float, width: float, height: float) -> FloatImage:
        """A Gaussian hill of height 1, float32 [size, size]; width and height are standard deviations."""
        across = np.exp(-0.5 * ((self.x - x) / width) ** 2)
        down = np.exp(-0.5 * ((self.y - y) / height) ** 2)
        return np.outer(down.astype(np.float32), across.astype(np.float32))

    def _mask(self, polygon: Points, soft: float) -> tuple[tuple[slice, slice], FloatImage]:
        pixels = (polygon + EXTENT) * self.resolution - 0.5
        window = self._window(pixels, soft)
        part = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        if part.size == 0:
            return window, part.astype(np.float32)
        _fill(part, pixels, window, 255)
        coverage = part * np.float32(1 / 255)
        return window, blur(coverage, soft * self.resolution) if soft > 0 else coverage

    def _window(self, pixels: Points, soft: float) -> tuple[slice, slice]:
        margin = 2 + 3 * soft * self.resolution
        (left, top), (right, bottom) = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
        x0, y0 = max(0, int(left - margin)), max(0, int(top - margin))
        x1, y1 = min(self.size, int(right + margin) + 2), min(self.size, int(bottom + margin) + 2)
        return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def _fill(part: NDArray[np.uint8], pixels: Points, window: tuple[slice, slice], value: int) -> None:
    fixed = np.rint((pixels - (window[1].start, window[0].start)) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(part, [fixed], value, lineType=cv2.LINE_AA, shift=_SHIFT)


@lru_cache(maxsize=4)
def _axes(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = ((np.arange(size) + 0.5) / size * 2 - 1) * EXTENT
    return axis, axis


def blur(image: FloatImage, sigma: float) -> FloatImage:
    """Gaussian blur; sigma in pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def resize(image: FloatImage, size: int, interpolation: int = cv2.INTER_LINEAR) -> FloatImage:
    """Resize to [size, size] with one of cv2's interpolations."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=interpolation), np.float32)


def ellipse(x: float, y: float, width: float, height: float, tilt: float = 0.0, count: int = 24) -> Points:
    """Polygon [count, 2] of an ellipse with the given half axes, turned by `tilt` radians."""
    circle = _circle(count)
    if tilt == 0.0:
        upright: Points = circle * (width, height) + (x, y)
        return upright
    cosine, sine = math.cos(tilt), math.sin(tilt)
    turn = np.array([[width * cosine, width * sine], [-height * sine, height * cosine]])
    turned: Points = circle @ turn + (x, y)
    return turned


@lru_cache(maxsize=8)
def _circle(count: int) -> Points:
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ribbon(points: Points, width: float | Points) -> Points:
    """Polygon around a line [N, 2]; `width` is the full width, one number or one per point."""
    tangent = np.empty_like(points)
    tangent[1:-1] = points[2:] - points[:-2]
    tangent[0], tangent[-1] = points[1] - points[0], points[-1] - points[-2]
    tangent /= np.sqrt((tangent * tangent).sum(axis=1, keepdims=True)) + 1e-9
    normal = tangent[:, ::-1] * (-0.5, 0.5) * (width if isinstance(width, float) else width[:, None])
    return np.concatenate([points + normal, (points - normal)[::-1]])


def taper(count: int, ends: float, middle: float) -> Points:
    """Widths [count] of a ribbon that is thickest in the middle."""
    return ends + (middle - ends) * _arch(count)


@lru_cache(maxsize=32)
def _arch(count: int) -> Points:
    return np.sin(np.linspace(0, np.pi, count))


def spline(points: Sequence[tuple[float, float]], *, closed: bool = False, samples: int = 6) -> Points:
    """Catmull-Rom curve through the points, [M, 2], with `samples` points per segment."""
    control = np.array(points, dtype=float)
    if closed:
        control = np.concatenate([control[-1:], control, control[:2]])
    else:
        control = np.concatenate([2 * control[:1] - control[1:2], control, 2 * control[-1:] - control[-2:-1]])
    segments = np.stack([control[i : len(control) - 3 + i] for i in range(4)], axis=1)
    curve = (_catmull_rom(samples) @ segments).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, control[-2:-1]])


@lru_cache(maxsize=8)
def _catmull_rom(samples: int) -> Points:
    t = np.arange(samples) / samples
    powers = np.stack([np.ones(samples), t, t**2, t**3], axis=1)
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=float)
    weights: Points = 0.5 * powers @ basis
    return weights
