"""Image corruptions at three severities, after ImageNet-C (Hendrycks and Dietterich, 2019)."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pictures = NDArray[np.uint8]
#: Takes pictures, an amount (see `corrupt_by`) and a random generator; returns the corrupted pictures.
Corruption = Callable[[Pictures, float, np.random.Generator], Pictures]

SEVERITIES: Final = (1, 2, 3)

#: Amounts of severities 1 to 3, in the units of `corrupt_by`. Noise is per pixel and JPEG works on blocks of 8 x 8
#: pixels, so that results on pictures of different sizes are not comparable.
BLUR_SIGMA: Final = (0.015, 0.03, 0.05)
NOISE_SIGMA: Final = (10.0, 25.0, 50.0)
BRIGHTNESS: Final = (25.0, 50.0, 90.0)
CONTRAST: Final = (0.7, 0.45, 0.25)
JPEG_QUALITY: Final = (40, 20, 8)
DEGREES: Final = (10.0, 20.0, 35.0)
OCCLUDED_SIDE: Final = (0.25, 0.4, 0.55)

#: Kind of corruption → amounts of the three severities.
AMOUNTS: Final[dict[str, tuple[float, float, float]]] = {
    "blur": BLUR_SIGMA,
    "noise": NOISE_SIGMA,
    "brightness": BRIGHTNESS,
    "contrast": CONTRAST,
    "jpeg": JPEG_QUALITY,
    "rotation": DEGREES,
    "occlusion": OCCLUDED_SIDE,
}


def corrupt(images: Pictures, kind: str, severity: int, seed: int = 0) -> Pictures:
    """Corrupt pictures at one of three severities.

    Args:
        images: uint8 `[N, C, H, W]`, 0-255, C 1 or 3.
        kind: one of `CORRUPTIONS`.
        severity: 1 (hardly visible) to 3 (severe).
        seed: of the random generator; the same seed gives the same pictures.

    Returns:
        uint8 `[N, C, H, W]`, a new array.

    Raises:
        ValueError: for an unknown kind or severity.
    """
    if kind not in CORRUPTIONS or severity not in SEVERITIES:
        known = ", ".join(CORRUPTIONS)
        raise ValueError(f"no corruption {kind!r} of severity {severity}; known: {known}, each of {SEVERITIES}")
    return corrupt_by(images, kind, AMOUNTS[kind][severity - 1], seed)


def corrupt_by(images: Pictures, kind: str, amount: float, seed: int = 0) -> Pictures:
    """Corrupt pictures by a given amount.

    Args:
        images: uint8 `[N, C, H, W]`, 0-255, C 1 or 3.
        kind: one of `CORRUPTIONS`, or `exposure`.
        amount: standard deviation as a share of the picture's side (`blur`) or on the 0-255 scale (`noise`); offset on
            that scale, with a random sign per picture (`brightness`) or added to all (`exposure`); factor (`contrast`);
            quality (`jpeg`); degrees, to the left or right at random (`rotation`); side of the black square as a share
            of the picture's side (`occlusion`).
        seed: of the random generator; the same seed gives the same pictures.

    Returns:
        uint8 `[N, C, H, W]`, a new array.

    Raises:
        ValueError: for an unknown kind.
    """
    functions = {**CORRUPTIONS, "exposure": _exposure}
    if kind not in functions:
        raise ValueError(f"no corruption {kind!r}; known: {', '.join(functions)}")
    return functions[kind](images, amount, np.random.default_rng(seed))


def _blur(images: Pictures, amount: float, _rng: np.random.Generator) -> Pictures:
    """Gaussian blur."""
    blur = ImageFilter.GaussianBlur(amount * images.shape[-1])
    return _each(images, lambda picture, _: picture.filter(blur))


def _noise(images: Pictures, amount: float, rng: np.random.Generator) -> Pictures:
    """Gaussian noise, independent per pixel."""
    return _clip(images + np.float32(amount) * rng.standard_normal(images.shape, dtype=np.float32))


def _brightness(images: Pictures, amount: float, rng: np.random.Generator) -> Pictures:
    """Add or subtract the amount, at random for each picture."""
    return _clip(images + amount * _signs(len(images), rng)[:, None, None, None])


def _exposure(images: Pictures, amount: float, _rng: np.random.Generator) -> Pictures:
    """Add the amount, which may be negative, to all pictures."""
    return _clip(images + np.float32(amount))


def _contrast(images: Pictures, amount: float, _rng: np.random.Generator) -> Pictures:
    """Scale the contrast around each picture's mean."""
    mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    return _clip(mean + amount * (images - mean))


def _jpeg(images: Pictures, amount: float, _rng: np.random.Generator) -> Pictures:
    """Compress as JPEG of the given quality."""

    def saved(picture: Image.Image, _: int) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=round(amount))
        return Image.open(stream)

    return _each(images, saved)


def _rotation(images: Pictures, amount: float, rng: np.random.Generator) -> Pictures:
    """Rotate left or right around the centre; corners are filled with the nearest border pixel."""
    signs = _signs(len(images), rng)
    pad = images.shape[-1] // 2
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="edge")
    turned = _each(padded, lambda picture, i: picture.rotate(amount * signs[i], Image.Resampling.BILINEAR))
    return np.ascontiguousarray(turned[:, :, pad:-pad, pad:-pad])


def _occlusion(images: Pictures, amount: float, rng: np.random.Generator) -> Pictures:
    """Cover a black square at a random position."""
    covered = images.copy()
    height, width = images.shape[2:]
    side = max(1, round(amount * min(height, width)))
    tops, lefts = rng.integers(0, height - side + 1, len(images)), rng.integers(0, width - side + 1, len(images))
    for picture, top, left in zip(covered, tops, lefts, strict=True):
        picture[:, top : top + side, left : left + side] = 0
    return covered


#: Kind of corruption → function.
CORRUPTIONS: Final[dict[str, Corruption]] = {
    "blur": _blur,
    "noise": _noise,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "rotation": _rotation,
    "occlusion": _occlusion,
}


def _each(images: Pictures, change: Callable[[Image.Image, int], Image.Image]) -> Pictures:
    """Apply a function of a Pillow picture and its index to every picture of a batch."""
    result = np.empty_like(images)
    for index, picture in enumerate(images):
        if len(picture) == 1:
            result[index, 0] = np.asarray(change(Image.fromarray(picture[0]), index))
        else:
            changed = change(Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))), index)
            result[index] = np.asarray(changed).transpose(2, 0, 1)
    return result


def _signs(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """+1 or -1 at random for each picture, float32 `[count]`."""
    return (rng.integers(0, 2, count) * 2 - 1).astype(np.float32)


def _clip(values: NDArray[np.floating]) -> Pictures:
    pixels: Pictures = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
