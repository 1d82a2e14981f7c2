"""What the processes have in common that work for another one."""

from __future__ import annotations

import multiprocessing
import os
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


def end_with_parent() -> None:
    """In a process that multiprocessing started: end it when the one that started it is gone, however that went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
