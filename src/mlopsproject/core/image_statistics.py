"""Brightness, contrast and sharpness of pictures, which drift detection compares with the model's reference data.

The bundle's reference, the API's log and the drift report use the same function, so that their values are comparable.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STATISTICS: Final = ("brightness", "contrast", "sharpness")

#: ITU-R 601 luma, the weights with which Pillow converts RGB to gray.
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
#: Pictures per step; about 32 MB of float64 at 64 x 64.
_CHUNK: Final = 1024


def image_statistics(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Measure brightness, contrast and sharpness of the gray pictures that the network sees.

    With gray values ``g`` on the 0-1 scale:

    - ``brightness``: the mean of ``g``, 0-1.
    - ``contrast``: the standard deviation of ``g``, 0-0.5.
    - ``sharpness``: the standard deviation of the 4-neighbour Laplacian of ``g`` over the inner pixels, 0 for a flat
      picture, at most 4; lower means blurrier. The variance of the Laplacian is the usual measure of focus; its
      square root is less skewed and therefore better for histograms.

    Args:
        images: uint8 `[N, C, H, W]`, 0-255, C = 1 or 3, H and W at least 3.

    Returns:
        `brightness`, `contrast` and `sharpness`, float64 `[N]` each.

    Raises:
        ValueError: for another dtype or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 3:
        raise ValueError(f"need uint8 [N, 1 or 3, H >= 3, W >= 3], got {images.dtype} {list(images.shape)}")
    result = {name: np.empty(len(images), dtype=np.float64) for name in STATISTICS}
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        gray = _gray(images[rows])
        result["brightness"][rows], result["contrast"][rows] = _moments(gray)
        result["sharpness"][rows] = _moments(_laplacian(gray))[1]
    return result


def _gray(images: NDArray[np.uint8]) -> NDArray[Any]:
    """Gray values 0-255, `[n, H, W]`: int16 of gray pictures, exact for the Laplacian, or float32 of RGB."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.int16)
    gray: NDArray[np.float32] = np.einsum("nchw,c->nhw", images.astype(np.float32), _LUMA)
    return gray


def _laplacian(gray: NDArray[Any]) -> NDArray[Any]:
    """Sum of the four neighbours minus four times the pixel, `[n, H - 2, W - 2]`."""
    count, height, width = gray.shape
    # Each picture as one row of pixels, for fewer NumPy operations; only the two columns cut off wrap around.
    flat = gray.reshape(count, -1)
    result: NDArray[Any] = flat[:, width:-width] * gray.dtype.type(-4)
    result += flat[:, : -2 * width]
    result += flat[:, 2 * width :]
    result += flat[:, width - 1 : -width - 1]
    result += flat[:, width + 1 : (height - 1) * width + 1]
    return result.reshape(count, height - 2, width)[:, :, 1:-1]


def _moments(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation per picture on the 0-1 scale, of values `[n, …]` on the 0-255 scale."""
    flat = values.astype(np.float64).reshape(len(values), -1)
    mean = flat.sum(axis=1) / flat.shape[1]
    flat -= mean[:, None]
    return mean / 255, np.sqrt(np.einsum("ij,ij->i", flat, flat) / flat.shape[1]) / 255
