"""The work done once per image, in worker processes: decode, check, hash, shrink to the cache's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.cheap_pictures import cheap_content
from mlopsproject.core.errors import ImageError
from mlopsproject.core.helpers import WIDE, Helpers
from mlopsproject.core.preprocess import MIN_JPEG_SIDE, ImageSource, decode_image, to_input
from mlopsproject.data.fer_csv import parse_pixels
from mlopsproject.data.hashing import perceptual_hash, pixel_hash, thumbnail
from mlopsproject.data.items import Item

if TYPE_CHECKING:  # pydantic would slow the start of a worker process
    from mlopsproject.core.spec import ResizeFilter


#: What a picture of a million pixels may take, in MB: several copies in colour.
_MB_PER_MEGAPIXEL = 16


@dataclass(frozen=True)
class ExamineOptions:
    """What a worker needs to know.

    Attributes:
        size: side of the cached picture in pixels.
        channels: 1 (gray) or 3 (RGB).
        resize_filter: Pillow's filter by name.
        min_size: pictures whose shorter side has fewer pixels are left out.
        max_pixels: pictures with more pixels are left out.
    """

    size: int = 64
    channels: int = 1
    resize_filter: ResizeFilter = "bilinear"
    min_size: int = 16
    max_pixels: int = 50_000_000


class Row(NamedTuple):
    """One usable picture, as the manifest will hold it."""

    path: str
    label: str
    source_split: str
    pixel_hash: bytes
    width: int
    height: int
    mode: str


class Examined(NamedTuple):
    """The outcome for one chunk of items: `len(rows) + len(excluded)` equals the number of items.

    `inputs` is uint8 `[rows, C, size, size]`, `thumbnails` uint8 `[rows, 32, 32]`, `perceptual` uint64 `[rows]` and
    `mirrored` the same of the mirrored thumbnails; `excluded` holds (path, reason, detail).
    """

    rows: list[Row]
    excluded: list[tuple[str, str, str]]
    inputs: NDArray[np.uint8]
    thumbnails: NDArray[np.uint8]
    perceptual: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]


#: Network input, thumbnail, and the last four fields of a `Row`.
Measured = tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[bytes, int, int, str]]


def examine(items: Sequence[Item], options: ExamineOptions) -> Examined:
    """Examine a chunk of items; a bad picture becomes an entry of `excluded`, never an exception."""
    rows: list[Row] = []
    excluded: list[tuple[str, str, str]] = []
    shape = (options.channels, options.size, options.size)
    inputs = np.empty((len(items), *shape), np.uint8)
    thumbnails = np.empty((len(items), 32, 32), np.uint8)
    for item in items:
        if item.reason:
            excluded.append((item.path, item.reason, item.detail))
            continue
        try:
            inputs[len(rows)], thumbnails[len(rows)], facts = _measure_item(item, options)
        except ImageError as error:
            excluded.append((item.path, error.reason, error.message))
        except OSError as error:
            excluded.append((item.path, "unreadable", error.strerror or str(error)))
        else:
            rows.append(Row(item.path, item.label, item.source_split, *facts))
    thumbnails = thumbnails[: len(rows)]
    mirrored = perceptual_hash(thumbnails[:, :, ::-1])
    return Examined(rows, excluded, inputs[: len(rows)], thumbnails, perceptual_hash(thumbnails), mirrored)


def _measure_item(item: Item, options: ExamineOptions) -> Measured:
    if item.kind == "pixels":
        return _measure(parse_pixels(str(item.payload)), options)
    cheap = cheap_content(item.payload)
    if cheap is not None:
        return _measure(cheap, options)
    # Allowed more pixels, a picture may take more memory.
    memory = max(WIDE.memory_mb, options.max_pixels // 10**6 * _MB_PER_MEGAPIXEL)
    return _helpers(memory).run(_measure, item.payload, options)


@cache
def _helpers(memory_mb: int) -> Helpers:
    """The helper of this process, which ends with it."""
    return Helpers(1, replace(WIDE, memory_mb=memory_mb))


def _measure(source: ImageSource, options: ExamineOptions) -> Measured:
    """Decode a picture and take what is kept of it, in this process or a helper."""
    image = decode_image(source, max_pixels=options.max_pixels, min_jpeg_side=max(MIN_JPEG_SIDE, options.size))
    width, height = image.info["original_size"]
    if min(width, height) < options.min_size:
        raise ImageError("tiny", f"{width} x {height} pixels; at least {options.min_size} a side are asked for.")
    pixels = np.asarray(image)
    if (pixels == pixels[0, 0]).all():
        raise ImageError("constant", "Every pixel has the same value.")
    facts = pixel_hash(pixels), width, height, image.info["original_mode"]
    return to_input(image, options.size, options.channels, options.resize_filter), thumbnail(image), facts
