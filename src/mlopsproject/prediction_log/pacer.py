"""Background work in small slices with rests between them, so that answers need not wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")
#: Rest per CPU time of the slice before it: usually, and while more work waits than can be done at a time.
_USUALLY: Final = 5.0
_BEHIND: Final = 1.0
#: Longest rest in seconds.
_LONGEST: Final = 0.02
#: Items of a slice: about half a millisecond of work.
SLICE: Final = 16


class Pacer:
    """Spreads the work of a thread that shares a core, and Python's lock, with the one that answers requests.

    Done in one go, the rows of a second and a half keep every request of the next 40 ms waiting. Only CPU time
    counts, so that waiting for a distant database does not slow the work down further.

    Args:
        stop: once it is set, there are no more rests.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        #: Whether there is more work than can be done at a time.
        self.behind = False

    def each(self, items: Sequence[Item]) -> Iterator[Item]:
        """The items one by one, with a rest after each slice of them."""
        for part in self.slices(items):
            yield from part

    def slices(self, items: Sequence[Item], size: int = SLICE) -> Iterator[Sequence[Item]]:
        """Consecutive parts of `items`, with a rest after each."""
        for start in range(0, len(items), size):
            began = time.thread_time()
            yield items[start : start + size]
            used = time.thread_time() - began
            self._stop.wait(min(_LONGEST, used * (_BEHIND if self.behind else _USUALLY)))
