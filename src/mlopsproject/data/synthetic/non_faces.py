"""Drawn pictures that show no face: what a model for faces should call "uncertain"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pictures = NDArray[np.uint8]
_Draw = Callable[[np.random.Generator, int], Image.Image]

#: Drawn larger and shrunk, for smooth edges.
_SCALE: Final = 4


def blank_pictures(count: int, size: int, seed: int = 0) -> Pictures:
    """Draw pictures of one gray, evenly spread from black to white.

    Args:
        count: how many.
        size: height and width in pixels.
        seed: of the order.

    Returns:
        uint8 `[count, size, size]`.
    """
    levels = np.random.default_rng(seed).permutation(np.linspace(0, 255, count).round()).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None], (count, size, size)).copy()


def noise_pictures(count: int, size: int, seed: int = 0) -> Pictures:
    """Draw noise: uniform or Gaussian, from single pixels to clouds of an eighth of the side, dim or stark.

    Returns:
        uint8 `[count, size, size]`.
    """
    rng = np.random.default_rng(seed)
    return np.stack([np.asarray(_noise(rng, size)) for _ in range(count)])


def non_face_pictures(count: int, size: int, seed: int = 0) -> Pictures:
    """Draw objects, landscapes, buildings, writing, stripes, tiles, leaves and plots, in turn, with random light.

    Returns:
        uint8 `[count, size, size]`.
    """
    rng = np.random.default_rng(seed)
    kinds = list(NON_FACES.values())
    return np.stack([_photographed(kinds[i % len(kinds)](rng, size * _SCALE), rng, size) for i in range(count)])


def _photographed(drawing: Image.Image, rng: np.random.Generator, size: int) -> Pictures:
    """Shrink a drawing, with uneven light, a little blur and sensor noise."""
    small = drawing.filter(ImageFilter.GaussianBlur(rng.uniform(0, 3))).resize((size, size), Image.Resampling.BOX)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle = rng.uniform(0, 2 * math.pi)
    light = 1 + rng.uniform(0, 0.35) * (x * math.cos(angle) + y * math.sin(angle))
    pixels = np.asarray(small, float) * light + rng.normal(0, rng.uniform(1, 6), (size, size))
    photograph: Pictures = np.clip(pixels.round(), 0, 255).astype(np.uint8)
    return photograph


def _gray(rng: np.random.Generator, low: int = 0, high: int = 255) -> int:
    return int(rng.integers(low, high + 1))


def _noise(rng: np.random.Generator, size: int) -> Image.Image:
    grain = int(rng.choice([1, 1, 2, 4, 8]))
    cells = -(-size // grain)
    drawn = rng.uniform(-1.7, 1.7, (cells, cells)) if rng.random() < 0.5 else rng.standard_normal((cells, cells))
    values = np.clip(rng.uniform(60, 195) + rng.uniform(15, 90) * drawn, 0, 255)
    return Image.fromarray(values.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)


def _objects(rng: np.random.Generator, size: int) -> Image.Image:
    """Boxes, balls and bars on a table."""
    image = Image.new("L", (size, size), _gray(rng))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, rng.uniform(0.4, 0.8) * size, size, size), fill=_gray(rng))
    for _ in range(rng.integers(1, 6)):
        x, y, w, h = rng.uniform(0, 0.9, 2).tolist() + rng.uniform(0.1, 0.5, 2).tolist()
        box = (x * size, y * size, (x + w) * size, (y + h) * size)
        shape = draw.ellipse if rng.random() < 0.4 else draw.rectangle
        shape(box, fill=_gray(rng), outline=_gray(rng), width=int(rng.integers(1, 8)))
    return image


def _landscape(rng: np.random.Generator, size: int) -> Image.Image:
    """Sky, hills and trees."""
    sky = np.linspace(_gray(rng, 120), _gray(rng, 80), size)[:, None].repeat(size, 1)
    image = Image.fromarray(sky.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x = np.linspace(0, 1, 40)
    for layer in range(rng.integers(1, 4)):
        height, frequency, phase = rng.uniform((0.02, 2, 0), (0.12, 12, 6), (3, 3)).T[:, :, None]
        waves = (height * np.sin(frequency * x + phase)).sum(axis=0)
        ridge = (0.4 + 0.18 * layer + waves) * size
        draw.polygon([(0, size), *zip(x * size, ridge, strict=True), (size, size)], fill=_gray(rng, 20, 200))
    for _ in range(rng.integers(0, 5)):
        left, foot, height = rng.uniform(0, size), rng.uniform(0.6, 1.0) * size, rng.uniform(0.1, 0.4) * size
        crown = [(left - height / 4, foot), (left + height / 4, foot), (left, foot - height)]
        draw.polygon(crown, fill=_gray(rng, 0, 120))
    return image


def _building(rng: np.random.Generator, size: int) -> Image.Image:
    """A front with rows of windows."""
    image = Image.new("L", (size, size), _gray(rng))
    draw = ImageDraw.Draw(image)
    left, top = rng.uniform(0, 0.2, 2) * size
    draw.rectangle((left, top, size - left, size), fill=_gray(rng))
    rows, columns = rng.integers(2, 8, 2)
    pane, gap_x, gap_y = _gray(rng), (size - 2 * left) / columns, (size - top) / rows
    for row in range(rows):
        for column in range(columns):
            x, y = left + (column + 0.25) * gap_x, top + (row + 0.25) * gap_y
            draw.rectangle((x, y, x + gap_x / 2, y + gap_y / 2), fill=pane)
    return image


def _writing(rng: np.random.Generator, size: int) -> Image.Image:
    """Lines of words, as on a printed page."""
    paper, ink = (_gray(rng, 180), _gray(rng, 0, 80)) if rng.random() < 0.7 else (_gray(rng, 0, 80), _gray(rng, 180))
    image = Image.new("L", (size, size), paper)
    draw = ImageDraw.Draw(image)
    height = rng.uniform(0.02, 0.08) * size
    y = rng.uniform(0, 0.1) * size
    while y < size:
        x = rng.uniform(0.02, 0.1) * size
        while x < 0.95 * size:
            word = rng.uniform(1, 6) * height
            for letter in np.arange(x, min(x + word, size), height * 0.7):
                tall = height * rng.uniform(0.6, 1.0)
                draw.rectangle(
                    (letter, y + height - tall, letter + height * rng.uniform(0.1, 0.5), y + height), fill=ink
                )
            x += word + height
        y += height * 1.9
    return image


def _stripes(rng: np.random.Generator, size: int) -> Image.Image:
    """A wave through the picture, straight or around a point."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    angle, frequency = rng.uniform(0, math.pi), rng.uniform(10, 90)
    way = (
        np.hypot(x - rng.random(), y - rng.random())
        if rng.random() < 0.3
        else x * math.cos(angle) + y * math.sin(angle)
    )
    wave = np.sin(frequency * way)
    values = rng.uniform(80, 175) + rng.uniform(20, 80) * (np.sign(wave) if rng.random() < 0.4 else wave)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _tiles(rng: np.random.Generator, size: int) -> Image.Image:
    """Bricks or a chessboard."""
    image = Image.new("L", (size, size), _gray(rng))
    draw = ImageDraw.Draw(image)
    high = rng.uniform(0.06, 0.25) * size
    wide, shifted, shade = high * rng.uniform(1, 2.5), rng.random() < 0.6, _gray(rng)
    for row in range(int(size / high) + 1):
        start = -wide / 2 if shifted and row % 2 else 0.0
        for column in range(int(size / wide) + 2):
            x = start + column * wide
            fill = min(255, max(0, shade + int(rng.integers(-25, 26))))
            draw.rectangle((x, row * high, x + wide * 0.92, (row + 0.88) * high), fill=fill)
    return image


def _leaves(rng: np.random.Generator, size: int) -> Image.Image:
    """Many overlapping ellipses."""
    image = Image.new("L", (size, size), _gray(rng, 0, 120))
    for _ in range(rng.integers(30, 120)):
        length, width = rng.uniform(0.06, 0.3) * size, rng.uniform(0.02, 0.1) * size
        leaf = Image.new("L", (int(length) + 2,) * 2, 0)
        middle = length / 2
        ImageDraw.Draw(leaf).ellipse((0, middle - width / 2, length, middle + width / 2), fill=255)
        turned = leaf.rotate(rng.uniform(0, 360))
        corner = tuple((rng.uniform(-0.1, 1.0, 2) * size).astype(int).tolist())
        image.paste(_gray(rng, 30, 230), corner, turned)
    return image


def _plot(rng: np.random.Generator, size: int) -> Image.Image:
    """Axes with curves or bars, as on a slide."""
    image = Image.new("L", (size, size), _gray(rng, 200))
    draw = ImageDraw.Draw(image)
    draw.line(
        [(0.1 * size, 0.05 * size), (0.1 * size, 0.9 * size), (0.95 * size, 0.9 * size)],
        fill=0,
        width=max(1, size // 60),
    )
    if rng.random() < 0.5:
        for x in np.linspace(0.15, 0.85, rng.integers(3, 9)):
            draw.rectangle(
                (x * size, rng.uniform(0.1, 0.8) * size, (x + 0.06) * size, 0.9 * size), fill=_gray(rng, 0, 160)
            )
    for _ in range(rng.integers(1, 4)):
        points = np.cumsum(rng.normal(0, 0.05, 30)) + rng.uniform(0.3, 0.7)
        line = [((0.1 + 0.028 * i) * size, float(y) * size) for i, y in enumerate(points)]
        draw.line(line, fill=_gray(rng, 0, 160), width=int(rng.integers(1, max(2, size // 40))))
    return image


#: Every kind of drawing by name.
NON_FACES: Final[dict[str, _Draw]] = {
    "objects": _objects,
    "landscape": _landscape,
    "building": _building,
    "writing": _writing,
    "stripes": _stripes,
    "tiles": _tiles,
    "leaves": _leaves,
    "plot": _plot,
}
