"""Memory thresholds of the C library's allocator (glibc's `mallopt`)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

#: Parameter numbers of malloc.h; their values are in bytes.
TRIM_THRESHOLD: Final = -1
TOP_PAD: Final = -2
MMAP_THRESHOLD: Final = -3


def set_thresholds(thresholds: Mapping[int, int]) -> bool:
    """Set parameters of the allocator for this process (mallopt(3)).

    Args:
        thresholds: parameter number → value in bytes.

    Returns:
        Whether all were accepted; false without glibc, where nothing changes.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(parameter, size) for parameter, size in thresholds.items()]
    return all(done)


def return_freed_memory() -> None:
    """Make glibc return freed blocks of 512 KiB and more to the operating system at once.

    By default glibc raises this threshold to up to 32 MB, for every thread, when blocks of that size are freed: a
    process that has decoded some large pictures then stays 100 MB larger. Inputs of one face are far below 512 KiB.
    """
    set_thresholds({MMAP_THRESHOLD: 512 << 10, TRIM_THRESHOLD: 1 << 20})
