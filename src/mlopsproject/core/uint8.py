"""Conversion of pictures of any mode to uint8 gray or RGB, in tiles to save memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.errors import ImageError

#: Gray value behind transparent pixels: the middle of the range, to add little brightness or contrast.
BACKGROUND: Final = 128

_TILE: Final = 1024
_WIDE: Final = ("I", "F")
_GRAY: Final = ("1", "L", "LA", "La")
_TRANSPARENT: Final = ("LA", "La", "PA", "RGBA", "RGBa")


def result_mode(image: Image.Image) -> str:
    """The mode that `to_uint8` gives a picture, ``L`` or ``RGB``."""
    return "L" if image.mode.startswith(_WIDE) or image.mode in _GRAY else "RGB"


def to_uint8(image: Image.Image) -> Image.Image:
    """Convert any mode to ``L`` or ``RGB``.

    Transparency is blended with mid-gray. 16-bit gray is scaled by 1/257. The scale of 32-bit and float gray depends on
    the picture's range of values: floats within 0-1 are multiplied by 255, values within 0-255 are kept, within 0-65535
    scaled by 1/257; any other range is stretched to 0-255.

    Args:
        image: decoded; not modified.

    Returns:
        A picture in mode ``L`` or ``RGB``; `image` itself if there is nothing to convert.

    Raises:
        ImageError: `unsupported`, for another mode or values that are not finite.
    """
    mode = image.mode
    if mode.startswith(_WIDE):
        return _scale_wide(image)
    if mode in _TRANSPARENT or "transparency" in image.info:
        return _blend_with_gray(image)
    if mode in ("L", "RGB"):
        return image
    if mode in ("1", "P", "CMYK", "YCbCr", "HSV", "RGBX"):
        return image.convert(result_mode(image))
    raise ImageError("unsupported", f"Pictures in mode {mode!r} are not read; save it as RGB.")


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """The tiles of a picture, each with its upper left corner."""
    for upper in range(0, image.height, _TILE):
        for left in range(0, image.width, _TILE):
            right, lower = min(left + _TILE, image.width), min(upper + _TILE, image.height)
            yield (left, upper), image.crop((left, upper, right, lower))


def _blend_with_gray(image: Image.Image) -> Image.Image:
    mode = result_mode(image)
    canvas = Image.new(mode, image.size, BACKGROUND if mode == "L" else (BACKGROUND,) * 3)
    for corner, tile in _tiles(image):
        opaque = tile.convert("RGBA")
        canvas.paste(opaque.convert(mode), corner, mask=opaque.getchannel("A"))
    return canvas


def _scale_wide(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit or float gray to 0-255."""
    kind = np.asarray(image.crop((0, 0, 1, 1))).dtype
    is_16_bit = kind.kind == "u" and kind.itemsize == 2
    low, high = (0.0, 65535.0) if is_16_bit else _range(image)
    result = Image.new("L", image.size)
    for corner, tile in _tiles(image):
        values: NDArray[Any] = np.asarray(tile)
        scaled = (values.astype(np.uint32) + 128) // 257 if is_16_bit else np.rint(_scaled(values, low, high))
        result.paste(Image.fromarray(scaled.astype(np.uint8)), corner)
    return result


def _range(image: Image.Image) -> tuple[float, float]:
    """The smallest and the largest value of a picture."""
    low, high = np.inf, -np.inf
    for _, tile in _tiles(image):
        values = np.asarray(tile)
        if not np.isfinite(values).all():
            raise ImageError("unsupported", "The picture holds values that are not finite.")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    wide: NDArray[np.float64] = values.astype(np.float64)
    if low < 0 or high > 65535:
        return (wide - low) * (255 / (high - low) if high > low else 0)
    if high > 255:
        return wide / 257
    if values.dtype.kind == "f" and high <= 1:
        return wide * 255
    return wide
