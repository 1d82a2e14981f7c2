"""Thresholds of the C library's allocator."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

#: Parameters, as malloc.h numbers them; each takes bytes.
TRIM_THRESHOLD: Final = -1
TOP_PAD: Final = -2
MMAP_THRESHOLD: Final = -3


def set_thresholds(thresholds: Mapping[int, int]) -> bool:
    """Set parameters of the allocator for this process (mallopt(3)).

    Args:
        thresholds: bytes by parameter.

    Returns:
        Whether the C library took all of them (glibc only; elsewhere nothing changes).
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(parameter, size) for parameter, size in thresholds.items()]
    return all(done)
