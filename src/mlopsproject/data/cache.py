"""The cache: every image at the network's size as one memory-mapped `uint8 [N, C, H, W]` NumPy file."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.errors import DataError
from mlopsproject.core.spec import ResizeFilter

#: The NumPy header is written last, when N is known, into this many bytes reserved at the front.
HEADER_BYTES: Final = 128
_BLOCKS: Final = 16
_BLOCK_BYTES: Final = 256 * 1024


@dataclass(frozen=True)
class CacheKey:
    """What a cache depends on besides the pictures: two caches of one data set differ in at least one of these."""

    fingerprint: str
    size: int
    channels: int
    resize_filter: ResizeFilter

    @property
    def file_name(self) -> str:
        """For example `64x64x1-bilinear-0123456789ab.npy`."""
        return f"{self.size}x{self.size}x{self.channels}-{self.resize_filter}-{self.fingerprint[:12]}.npy"

    def shape(self, rows: int) -> tuple[int, int, int, int]:
        """Give `(N, C, H, W)`."""
        return rows, self.channels, self.size, self.size


def header(shape: tuple[int, ...]) -> bytes:
    """Give the first `HEADER_BYTES` bytes of a `.npy` file of uint8 with this shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    data = buffer.getvalue()
    if len(data) != HEADER_BYTES:
        raise AssertionError(f"NumPy wrote a header of {len(data)} bytes")
    return data


def seal(path: Path, shape: tuple[int, ...]) -> None:
    """Write the header into a finished cache file and the checks beside it."""
    with path.open("r+b") as file:
        file.write(header(shape))
    with path.open("rb") as file:
        checks = {
            "bytes": path.stat().st_size,
            "shape": list(shape),
            "blocks": _block_checks(file, path.stat().st_size),
        }
    _checks_path(path).write_text(json.dumps(checks), encoding="utf-8")


def open_cache(path: Path, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Map a cache into memory after cheap checks (size, header, sixteen sampled blocks).

    Args:
        path: the `.npy` file.
        shape: `(N, C, H, W)` it must have.

    Returns:
        uint8 `[N, C, H, W]`, read-only, mapped.

    Raises:
        DataError: the file is damaged.
    """
    try:
        expected: dict[str, Any] = json.loads(_checks_path(path).read_text(encoding="utf-8"))
        size = path.stat().st_size
        with path.open("rb") as file:
            sound = (
                size == expected["bytes"] == HEADER_BYTES + int(np.prod(shape))
                and file.read(HEADER_BYTES) == header(shape)
                and _block_checks(file, size) == expected["blocks"]
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _corrupt(path, str(error)) from error
    if not sound:
        raise _corrupt(path, "size, header or checksums differ from what was written")
    if not shape[0]:
        return np.empty(shape, np.uint8)
    return np.memmap(path, np.uint8, "r", HEADER_BYTES, shape)


def move(source: Path, destination: Path) -> None:
    """Rename a sealed cache and its checks; the checks first, so that a cache in place always has them."""
    _checks_path(source).replace(_checks_path(destination))
    source.replace(destination)


def _checks_path(path: Path) -> Path:
    return path.with_suffix(".checks.json")


def _block_checks(file: IO[bytes], size: int) -> list[int]:
    """CRC-32 of blocks spread evenly over the file, the first and the last included."""
    last = max(0, size - _BLOCK_BYTES)
    sums = []
    for position in np.linspace(0, last, _BLOCKS, dtype=np.int64):
        file.seek(int(position))
        sums.append(zlib.crc32(file.read(_BLOCK_BYTES)))
    return sums


def _corrupt(path: Path, why: str) -> DataError:
    return DataError(
        f"The cache {path} is corrupt ({why}).",
        f"Delete it (rm {path}); it is rebuilt from the source on the next run.",
    )
