"""Questions to what may be slow, such as a database or a bucket: few threads, few that wait, and an end to waiting."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import Final, ParamSpec, TypeVar

from mlopsproject.api.problems import busy
from mlopsproject.api.threads import DaemonPool

#: Threads for one part, and how many questions to it may be worked on or wait.
_THREADS: Final = 2
_MAX_ASKING: Final = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Questions:
    """Questions to one part of the service, in threads that do nothing else.

    Args:
        part: what is asked, named in problems.
        name: of the threads.
        seconds: that an answer may take.
    """

    def __init__(self, part: str, name: str, seconds: float) -> None:
        self._part = part
        self._name = name
        self._seconds = seconds
        self._pool: DaemonPool | None = None
        #: Questions that are worked on or wait.
        self.asking = 0

    def open(self) -> None:
        """Take questions from now on."""
        self._pool = DaemonPool(_THREADS, self._name)

    def close(self) -> None:
        """Take no more, and wait for none."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def ask(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function that asks; what it raises goes to the caller.

        Raises:
            ProblemError: before `open` and after `close`, if too many ask already, or if it takes too long.
        """
        if self.asking >= _MAX_ASKING:
            raise busy(f"{self.asking} questions to the {self._part} are worked on already.")
        self.asking += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await run_in(self._pool, function, *args, **kwargs)
        except TimeoutError:
            raise busy(f"The {self._part} took longer than {self._seconds:g} s.", "timeout") from None
        finally:
            self.asking -= 1


async def run_in(pool: DaemonPool | None, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run what blocks in a pool, with the request's id for log lines.

    Raises:
        ProblemError: without a pool, which is before the start of the service and after its stop.
    """
    if pool is None:
        raise busy("The service is starting or stopping.", "not_ready")
    run = contextvars.copy_context().run
    return await asyncio.get_running_loop().run_in_executor(pool, partial(run, function, *args, **kwargs))
