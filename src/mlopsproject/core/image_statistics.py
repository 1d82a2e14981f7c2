"""Three numbers per picture that say whether new pictures look like the ones the model knows.

One function serves the bundle's reference, the API's log and the drift report, so that their figures are comparable.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

STATISTICS: Final = ("brightness", "contrast", "sharpness")

#: ITU-R 601 luma, the weights Pillow uses to turn RGB into gray.
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
#: Pictures per step; about 16 MB of float32 at 64 x 64.
_CHUNK: Final = 1024


def image_statistics(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Measure brightness, contrast and sharpness of the gray pictures that the network sees.

    With gray values ``g`` on the 0-1 scale:

    - ``brightness``: the mean of ``g``, 0-1.
    - ``contrast``: the standard deviation of ``g``, 0-0.5.
    - ``sharpness``: the standard deviation of the 4-neighbour Laplacian of ``g`` over the inner pixels, 0 for a flat
      picture, at most 4, lower the blurrier. The variance of the Laplacian is the usual measure of focus; its root
      spreads more evenly and so suits histograms better.

    Args:
        images: uint8 `[N, C, H, W]`, 0-255, C = 1 or 3, H and W at least 3.

    Returns:
        `brightness`, `contrast` and `sharpness`, float64 `[N]` each.

    Raises:
        ValueError: for another type or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 3:
        raise ValueError(f"need uint8 [N, 1 or 3, H >= 3, W >= 3], got {images.dtype} {list(images.shape)}")
    result = {name: np.empty(len(images), dtype=np.float64) for name in STATISTICS}
    for start in range(0, len(images), _CHUNK):
        rows = slice(start, start + _CHUNK)
        gray = _gray(images[rows])
        result["brightness"][rows] = gray.mean(axis=(1, 2), dtype=np.float64)
        result["contrast"][rows] = gray.std(axis=(1, 2), dtype=np.float64)
        result["sharpness"][rows] = _laplacian(gray).std(axis=(1, 2), dtype=np.float64)
    return result


def _gray(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gray values 0-1, float32 `[n, H, W]`."""
    if images.shape[1] == 1:
        gray = images[:, 0].astype(np.float32)
    else:
        gray = np.einsum("nchw,c->nhw", images.astype(np.float32), _LUMA)
    gray /= 255
    return gray


def _laplacian(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of the four neighbours minus four times the pixel, `[n, H - 2, W - 2]`."""
    result = gray[:, 1:-1, 1:-1] * np.float32(-4)
    result += gray[:, :-2, 1:-1]
    result += gray[:, 2:, 1:-1]
    result += gray[:, 1:-1, :-2]
    result += gray[:, 1:-1, 2:]
    return result
