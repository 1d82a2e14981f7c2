"""Threads for what blocks: few, with few callers that wait, and an end to waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from mlopsproject.api.problems import busy

#: Threads for one part, and how many calls may wait for them.
_THREADS: Final = 2
_MAX_WAITING: Final = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Threads:
    """Threads for one part of the service, such as a database or a bucket, that do nothing else.

    Args:
        part: what is called, named in problems.
        seconds: that a call may take.
    """

    def __init__(self, part: str, seconds: float) -> None:
        self._part = part
        self._seconds = seconds
        self._threads = CapacityLimiter(_THREADS)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return self._threads.statistics().tasks_waiting

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function; what it raises goes to the caller.

        Raises:
            ProblemError: if there are too many calls already, or it takes too long.
        """
        if self.waiting >= _MAX_WAITING:
            raise busy(f"{self.waiting} questions to the {self._part} wait already.")
        try:
            async with asyncio.timeout(self._seconds):
                return await in_thread(self._threads, function, *args, **kwargs)
        except TimeoutError:
            raise busy(f"The {self._part} took longer than {self._seconds:g} s.", "timeout") from None


async def in_thread(threads: CapacityLimiter, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run what blocks in a thread. Who gives up does not wait for it; the thread stays taken until it has ended."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True, limiter=threads)
