"""Memory of a worker that has worked on a large picture goes back to the system."""

from __future__ import annotations

import ctypes

#: malloc.h: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, in bytes.
_MALLOC_OPTIONS = {-3: 512 << 10, -1: 1 << 20}


def return_freed_memory() -> bool:
    """Have the allocator give large pieces back as soon as they are freed.

    By default glibc keeps them, up to 32 MB each and for every thread, once it has seen pieces of that size: a worker
    that had to do with some large pictures stays 100 MB larger than it needs to be. A face is far below the limit.

    Returns:
        Whether the C library took the settings (glibc only; elsewhere nothing changes).
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    done = [mallopt(option, value) for option, value in _MALLOC_OPTIONS.items()]
    return all(done)
