"""Questions to what may be slow, such as a database or a bucket: few threads, few that wait, and an end to waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from mlopsproject.api.problems import busy

#: Threads for one part, and how many questions to it may be worked on or wait.
_THREADS: Final = 2
_MAX_ASKING: Final = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Questions:
    """Questions to one part of the service, in threads that do nothing else.

    Args:
        part: what is asked, named in problems.
        seconds: that an answer may take.
    """

    def __init__(self, part: str, seconds: float) -> None:
        self._part = part
        self._seconds = seconds
        self._threads = CapacityLimiter(_THREADS)
        #: Questions that are worked on or wait.
        self.asking = 0

    async def ask(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function that asks; what it raises goes to the caller.

        Raises:
            ProblemError: if too many ask already, or if it takes too long.
        """
        if self.asking >= _MAX_ASKING:
            raise busy(f"{self.asking} questions to the {self._part} are worked on already.")
        self.asking += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await in_thread(self._threads, function, *args, **kwargs)
        except TimeoutError:
            raise busy(f"The {self._part} took longer than {self._seconds:g} s.", "timeout") from None
        finally:
            self.asking -= 1


async def in_thread(threads: CapacityLimiter, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run what blocks in a thread. Who gives up does not wait for it; the thread stays taken until it has ended."""
    return await to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True, limiter=threads)
