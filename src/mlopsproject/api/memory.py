"""Memory of a worker that has worked on a large picture goes back to the system."""

from __future__ import annotations

from typing import Final

from mlopsproject.core.allocator import MMAP_THRESHOLD, TRIM_THRESHOLD, set_thresholds

_THRESHOLDS: Final = {MMAP_THRESHOLD: 512 << 10, TRIM_THRESHOLD: 1 << 20}


def return_freed_memory() -> bool:
    """Have the allocator give large pieces back as soon as they are freed.

    By default glibc keeps them, up to 32 MB each and for every thread, once it has seen pieces of that size: a worker
    that had to do with some large pictures stays 100 MB larger than it needs to be. A face is far below the limit.

    Returns:
        See `set_thresholds`.
    """
    return set_thresholds(_THRESHOLDS)
