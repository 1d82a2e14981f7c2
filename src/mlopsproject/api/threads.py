"""Threads for what blocks, that no end of the process waits for."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, ParamSpec, TypeVar
from weakref import WeakSet

_P = ParamSpec("_P")
_T = TypeVar("_T")
_pools: WeakSet[DaemonPool] = WeakSet()


@dataclass(slots=True)
class _Task:
    future: Future[Any]
    call: Callable[[], Any]


class DaemonPool(Executor):
    """A few threads, made at once, that work until `shutdown`.

    The standard library's pool has the interpreter wait at its end for whatever a thread is in the middle of, such as
    a large picture or a query.

    Args:
        threads: how many.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        #: Calls that are worked on.
        self.busy = 0
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()
        _pools.add(self)

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have a function called by one of the threads.

        Raises:
            RuntimeError: after `shutdown`.
        """
        future: Future[_T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._tasks.put(_Task(future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more.

        Args:
            wait: for what is worked on.
            cancel_futures: give up what has not begun.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                if cancel_futures:
                    self._cancel_waiting()
                for _ in self._threads:
                    self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _cancel_waiting(self) -> None:
        try:
            while (task := self._tasks.get_nowait()) is not None:
                task.future.cancel()
        except Empty:
            pass

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            with self._lock:
                self.busy += 1
            try:
                _perform(task)
            finally:
                with self._lock:
                    self.busy -= 1
            # What it refers to, such as a picture, must not live until the next one comes.
            del task


async def in_own_thread(name: str, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call what blocks for long in a new thread, so that it waits for nothing else and nothing else for it.

    Args:
        name: of the thread.
        function: to call.
        *args: for the function.
        **kwargs: for the function.
    """
    pool = DaemonPool(1, name)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(function, *args, **kwargs))
    finally:
        pool.shutdown(wait=False)


def leave(code: int) -> NoReturn:
    """End the process.

    Python's own end is left out while a pool still works: it would take the interpreter away under a thread that is in
    the middle of a library's C++, and that ends in an abort.

    Args:
        code: the exit code.
    """
    if any(pool.busy for pool in _pools):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _perform(task: _Task) -> None:
    try:
        result = task.call()
    except BaseException as error:
        # Whatever it is, it belongs to the one who asked, and the thread works on.
        task.future.set_exception(error)
        # Otherwise the error's traceback keeps this frame, the frame the task, the task the error, and all of them what
        # was worked on, such as a picture.
        del task
    else:
        task.future.set_result(result)
