"""Helper processes for pictures, with memory and time limits that the operating system enforces."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

from pebble import ProcessExpired, ProcessPool

from mlopsproject.core.allocator import return_freed_memory
from mlopsproject.core.errors import ImageError
from mlopsproject.core.processes import end_with_parent, main_module_hidden

if sys.platform != "win32":
    import resource

_P = ParamSpec("_P")
_T = TypeVar("_T")
#: A helper is replaced after this many pictures, because some decoders leak memory.
_TASKS: Final = 500
#: Niceness of helpers, so that the process that answers requests has priority.
_NICENESS: Final = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Resources that one picture may use.

    Attributes:
        memory_mb: memory in addition to that of an idle helper, in MB.
        cpu_seconds: CPU time, as the kernel measures it.
        seconds: wall time.
    """

    memory_mb: int
    cpu_seconds: int
    seconds: float


#: For untrusted pictures: what the largest accepted ones need.
NARROW: Final = Limits(memory_mb=320, cpu_seconds=5, seconds=15)
#: For jobs, which read their user's own pictures.
WIDE: Final = Limits(memory_mb=2_000, cpu_seconds=60, seconds=120)


class Helpers:
    """A pool of helper processes. They start with the first call; one that dies is replaced.

    Args:
        count: number of processes.
        limits: of each call.
    """

    def __init__(self, count: int, limits: Limits) -> None:
        self._count = count
        self._limits = limits
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._at_exit: Finalize | None = None

    def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a module-level function in a helper, and wait for its result.

        Raises:
            ImageError: `too_costly` beyond a limit, `truncated` if the helper crashes; and what the function raises.
            BrokenProcessPool: if no helper can be started.
        """
        with _limits_as_image_errors(self._limits):
            try:
                return self._submit(function, *args, **kwargs).result()
            except BrokenProcessPool:
                # A helper died between two calls, which fails all waiting calls: try again with a new pool.
                return self._submit(function, *args, **kwargs).result()

    async def ask(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As `run`, without blocking the event loop. Cancelling a call ends its helper."""
        with _limits_as_image_errors(self._limits):
            try:
                return await asyncio.wrap_future(self._submit(function, *args, **kwargs))
            except BrokenProcessPool:
                return await asyncio.wrap_future(self._submit(function, *args, **kwargs))

    def close(self) -> None:
        """End all helpers at once, even if they are busy."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]
                self._pool.join()
                self._pool = None
            if self._at_exit is not None:
                self._at_exit.cancel()

    def _submit(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._pool = ProcessPool(self._count, _TASKS, _prepare, context=_Context())
                # Otherwise a process started by multiprocessing would wait for its helpers on exit.
                self._at_exit = Finalize(None, self.close, exitpriority=100)
            call = (self._limits, function, args, kwargs)
            return self._pool.schedule(_within_limits, args=call, timeout=self._limits.seconds)


def run_forked(limits: Limits, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function in a process that is forked for this call, and wait for its result.

    For places without semaphores, which pools need: AWS Lambda has no `/dev/shm`. Nothing has to be imported again, so
    that it takes milliseconds; this process must hold no threads that the function needs.

    Args:
        limits: of the call.
        function: what to call; its result is pickled.
        *args: of the function.
        **kwargs: of the function.

    Raises:
        ImageError: `too_costly` beyond a limit, `truncated` if the process crashes; and what the function raises.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, limits, function, args, kwargs), daemon=True)
    with _limits_as_image_errors(limits), receiver:
        process.start()
        sender.close()
        try:
            if not receiver.poll(limits.seconds):
                raise TimeoutError
            done, result = receiver.recv()
        except EOFError:
            process.join()
            raise ProcessExpired("no result", code=process.exitcode) from None  # type: ignore[no-untyped-call]
        finally:
            process.kill()
            process.join()
        if not done:
            raise result
        return cast(_T, result)


def _send_result(sender: Connection, limits: Limits, function: Callable[..., _T], args: Any, kwargs: Any) -> None:
    _prepare()
    # A decoder that crashes is no fault of this program, whose stack nobody needs to see.
    faulthandler.disable()
    try:
        sender.send((True, _within_limits(limits, function, args, kwargs)))
    except Exception as error:
        sender.send((False, error))


@contextlib.contextmanager
def _limits_as_image_errors(limits: Limits) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise ImageError("too_costly", f"The picture takes more than {limits.memory_mb} MB of memory.") from None
    except TimeoutError:
        raise ImageError("too_costly", f"The picture takes longer than {limits.seconds:g} s.") from None
    except ProcessExpired as error:
        if sys.platform != "win32" and error.exitcode == -signal.SIGXCPU:
            said = f"The picture takes more than {limits.cpu_seconds} s of computing."
            raise ImageError("too_costly", said) from None
        # On damaged files decoders in C may crash instead of raising an error.
        raise ImageError("truncated", "The picture makes its decoder crash.") from None


class _Process(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's name
        with main_module_hidden():
            return SpawnProcess._Popen(process_obj)


class _Context(SpawnContext):
    Process = _Process


def _prepare() -> None:
    """Initialise a new helper process."""
    end_with_parent()
    # Decoders in C print messages whose text an untrusted file controls.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return_freed_memory()
    if sys.platform != "win32":
        os.nice(_NICENESS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Imported before the limits apply: it is not part of a picture's memory.
    import mlopsproject.core.preprocess  # noqa: F401


def _within_limits(limits: Limits, function: Callable[..., _T], args: Any, kwargs: Any) -> _T:
    """Call a function; the kernel refuses memory beyond the limit and ends this process after too much CPU time."""
    with _resource_limits(limits):
        try:
            return function(*args, **kwargs)
        except ImageError as error:
            problem = ImageError(error.reason, error.message)
    # A copy of the error: the traceback of the original keeps the picture in memory.
    raise problem


@contextlib.contextmanager
def _resource_limits(limits: Limits) -> Iterator[None]:
    """Limit this process: on Linux memory and CPU time, on other Unixes CPU time, on Windows neither."""
    if sys.platform == "win32":
        yield
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = {resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + limits.cpu_seconds + 1}
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        private = int(status.partition("VmData:")[2].split()[0]) << 10
        soft[resource.RLIMIT_DATA] = private + limits.memory_mb * 1_000_000
    before = {what: resource.getrlimit(what) for what in soft}
    for what, (_, hard) in before.items():
        resource.setrlimit(what, (soft[what] if hard < 0 else min(soft[what], hard), hard))
    try:
        yield
    finally:
        for what, found in before.items():
            resource.setrlimit(what, found)
