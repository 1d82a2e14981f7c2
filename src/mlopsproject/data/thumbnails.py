"""The 32 x 32 thumbnails of an import, on disk: read by index without keeping them in memory."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.hashing import THUMBNAIL

_BYTES: Final = THUMBNAIL * THUMBNAIL
_BATCH: Final = 4096
#: Mapped pages count as this process's memory; they are let go after this many batches.
_BATCHES_PER_MAP: Final = 8


class ThumbnailFile:
    """Random access to a file of `N` thumbnails, uint8 `[32, 32]` each.

    Args:
        path: the file.
        rows: which thumbnails stand at positions 0, 1, ...; ``None`` for all in file order.
    """

    def __init__(self, path: Path, rows: NDArray[np.int64] | None = None) -> None:
        self._path = path
        self._rows = rows

    def subset(self, rows: NDArray[np.int64]) -> Self:
        """See only the given rows, renumbered from 0."""
        return type(self)(self._path, rows if self._rows is None else self._rows[rows])

    def pixels(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read thumbnails at `positions` `[P]`, uint8 `[P, 32, 32]`."""
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            pixels = np.frombuffer(mapped, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)
            chosen: NDArray[np.uint8] = pixels[self._file_rows(positions)]
            del pixels
        return chosen

    def correlation(
        self, left: NDArray[np.int64], right: NDArray[np.int64], mirror: bool = False
    ) -> NDArray[np.float32]:
        """Correlate pairs of thumbnails.

        Args:
            left: positions `[P]`.
            right: positions `[P]`.
            mirror: mirror the right-hand ones first.

        Returns:
            float32 `[P]`, -1 to 1; 0 where a thumbnail is constant.
        """
        result = np.empty(len(left), np.float32)
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            pixels = np.frombuffer(mapped, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)
            for count, start in enumerate(range(0, len(left), _BATCH)):
                part = slice(start, start + _BATCH)
                one, two = pixels[self._file_rows(left[part])], pixels[self._file_rows(right[part])]
                result[part] = _correlation(one, two[:, :, ::-1] if mirror else two)
                if count % _BATCHES_PER_MAP == _BATCHES_PER_MAP - 1 and hasattr(mapped, "madvise"):
                    mapped.madvise(mmap.MADV_DONTNEED)
            del pixels
        return result

    def _file_rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return positions if self._rows is None else self._rows[positions]


def _correlation(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> NDArray[np.float32]:
    a = one.reshape(-1, _BYTES).astype(np.float32)
    b = two.reshape(-1, _BYTES).astype(np.float32)
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    product: NDArray[np.float32] = np.einsum("ij,ij->i", a, b)
    result: NDArray[np.float32] = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return result
