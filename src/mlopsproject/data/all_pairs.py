"""Near twins proposed by comparing every picture with every other: thorough, for up to some ten thousand pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.hashing import THUMBNAIL
from mlopsproject.data.thumbnails import ThumbnailFile

Indices = NDArray[np.int64]

#: Comparing all pairs takes time with the square of their number: about a minute for this many on two cores.
MAX_IMAGES: Final = 100_000
#: Small differences count less at 16 x 16: a pair that correlates at 32 x 32 nearly always does so there.
_SLACK: Final = 0.01
_SIDE: Final = 16
_ROWS: Final = 1024


def alike_pairs(
    thumbnails: ThumbnailFile, count: int, correlation: float, *, mirror: bool = False
) -> Iterator[tuple[Indices, Indices]]:
    """Propose all pairs of pictures whose thumbnails, averaged down to 16 x 16, correlate.

    Args:
        thumbnails: of the pictures.
        count: how many there are.
        correlation: that a pair must reach at 32 x 32 in the end.
        mirror: compare each with the mirror images of the others.

    Yields:
        Index arrays (left, right) of equal length, left < right.
    """
    vectors = np.concatenate(
        [_vectors(thumbnails, start, min(start + _ROWS, count)) for start in range(0, count, _ROWS)]
    )
    others = vectors.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(vectors.shape) if mirror else vectors
    for start in range(0, count, _ROWS):
        left, right = np.nonzero(vectors[start : start + _ROWS] @ others[start:].T >= correlation - _SLACK)
        later = left < right
        if later.any():
            yield left[later] + start, right[later] + start


def _vectors(thumbnails: ThumbnailFile, start: int, stop: int) -> NDArray[np.float32]:
    """Thumbnails as unit vectors around 0, float32 `[stop - start, 256]`; 0 where one is constant."""
    pixels = thumbnails.pixels(np.arange(start, stop)).astype(np.float32)
    step = THUMBNAIL // _SIDE
    small = pixels.reshape(-1, _SIDE, step, _SIDE, step).mean((2, 4)).reshape(len(pixels), -1)
    small -= small.mean(axis=1, keepdims=True)
    length = np.linalg.norm(small, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(small, length, out=np.zeros_like(small), where=length > 0)
    return unit
