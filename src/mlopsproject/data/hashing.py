"""Hashes that find the same picture again: exact (decoded pixels) and perceptual (64-bit DCT hash)."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Side of the gray thumbnail on which near twins are proposed and confirmed.
THUMBNAIL: Final = 32
_KEPT: Final = 8


def _dct_rows() -> NDArray[np.float32]:
    """The first rows of the orthonormal DCT-II matrix for `THUMBNAIL` samples."""
    frequency, position = np.arange(_KEPT)[:, None], np.arange(THUMBNAIL)[None]
    rows = np.cos(np.pi * (2 * position + 1) * frequency / (2 * THUMBNAIL)) * np.sqrt(2 / THUMBNAIL)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows, np.float32)


_DCT: Final = _dct_rows()


def pixel_hash(pixels: NDArray[np.uint8]) -> bytes:
    """Hash a decoded picture's pixels and size; a gray picture stored as RGB hashes as gray.

    Args:
        pixels: uint8 `[H, W]` or `[H, W, 3]`: what `core.preprocess.decode_image` gives, as an array.

    Returns:
        16 bytes (BLAKE2b).
    """
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return digest.digest()


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """Shrink a decoded picture to the gray thumbnail that near twins are compared on.

    Returns:
        uint8 `[32, 32]`.
    """
    gray = image if image.mode == "L" else image.convert("L")
    return np.asarray(gray.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def perceptual_hash(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Compute the DCT hash (pHash): which of the 8 x 8 lowest frequencies lie above their median.

    Args:
        thumbnails: uint8 `[N, 32, 32]`, from `thumbnail`.

    Returns:
        uint64 `[N]`. Look-alikes differ in few bits.
    """
    low = _DCT @ thumbnails.astype(np.float32) @ _DCT.T
    flat = low.reshape(-1, _KEPT * _KEPT)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()
