"""Starting processes, and ending them with the process that started them or with the reader of their output."""

from __future__ import annotations

import multiprocessing
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Final

_hiding: Final = threading.Lock()


@contextmanager
def main_module_hidden() -> Iterator[None]:
    """Start processes without the running program: importing that again may cost seconds, or run it a second time."""
    with _hiding:
        main = sys.modules["__main__"]
        saved = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
        main.__spec__ = None
        main.__dict__.pop("__file__", None)
        try:
            yield
        finally:
            main.__dict__.update(saved)


@contextmanager
def end_at_closed_pipe() -> Iterator[None]:
    """Leave without a traceback, as after SIGPIPE, when nobody reads standard output any more: `… | head`."""
    try:
        try:
            yield
        finally:
            # What is still held back would otherwise fail when Python ends, where nothing can be done about it.
            sys.stdout.flush()
    except BrokenPipeError:
        if not _has_no_reader(sys.stdout.fileno()):
            # Another pipe, or a socket.
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + 13)


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def end_with_parent() -> None:
    """In a process that multiprocessing started: end it when the one that started it is gone, however that went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
