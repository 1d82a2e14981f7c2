"""What tests ask a helper process to do."""

from __future__ import annotations

import ctypes

from mlopsproject.core.errors import ImageError


def spin() -> None:
    """Compute for ever."""
    while True:
        pass


def take(megabytes: int) -> int:
    """Take memory, and give its bytes."""
    return len(bytearray(megabytes * 1_000_000))


def crash() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def refuse() -> None:
    """Find a picture that cannot be used."""
    raise ImageError("empty", "The file is empty (0 bytes).")
