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


def return_freed_memory() -> None:
    """Have the allocator of a process that works on pictures give large pieces back as soon as they are freed.

    By default glibc keeps them, up to 32 MB each and for every thread, once it has seen pieces of that size: a worker
    that had to do with some large pictures stays 100 MB larger than it needs to be. A face is far below the limit.
    """
    set_thresholds({MMAP_THRESHOLD: 512 << 10, TRIM_THRESHOLD: 1 << 20})
