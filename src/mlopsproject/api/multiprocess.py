"""A folder in which the workers of one server share their metrics.

`prometheus_client` looks for `PROMETHEUS_MULTIPROC_DIR` when it is imported, so this module must come first.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from mlopsproject.core.files import writing

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER: Final = "metrics"


def share_metrics(data_dir: Path) -> Path | None:
    """In a worker of a server with several: have metrics kept in a folder that all of them use.

    The folder belongs to the process that started the workers, be that uvicorn or `python -m mlopsproject.api`, and is
    new with it. Folders that no process uses any more are removed.

    Args:
        data_dir: folder in which the metrics' folder is made.

    Returns:
        The folder; `None` in a process that works alone. A folder that the environment names already is kept.

    Raises:
        UserError: if the folder cannot be made.
    """
    given = shared_folder()
    parent = multiprocessing.parent_process()
    if given is None and (parent is None or parent.pid is None):
        return None
    folder = given or data_dir / _FOLDER / _owner(parent.pid)  # type: ignore[arg-type, union-attr]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Those of this machine's servers that are gone.
        for other in (data_dir / _FOLDER).glob(f"{socket.gethostname()}-*-*"):
            pid = other.name.split("-")[-2]
            if given is None and pid.isdigit() and other.name != _owner(int(pid)):
                shutil.rmtree(other, ignore_errors=True)
    os.environ[VARIABLE] = str(folder)
    return folder


def shared_folder() -> Path | None:
    """The folder that `share_metrics` chose, or the environment names."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


def end_soon(seconds: float = 2.0) -> None:
    """In a worker of a server with several: end it, whatever its threads are in the middle of.

    Args:
        seconds: until then, for an end in order.
    """
    if multiprocessing.parent_process() is not None:
        timer = threading.Timer(seconds, os._exit, [0])
        timer.daemon = True
        timer.start()


def forget_dead_workers(folder: Path) -> None:
    """Take what dead workers said of themselves, such as their queue, out of the sums; what they counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    for path in folder.glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            # Another scrape may do the same.
            with suppress(FileNotFoundError):
                mark_process_dead(int(pid), str(folder))  # type: ignore[no-untyped-call]


def _owner(pid: int) -> str:
    """A name for a process that no other has: in a container every first process has the number 1."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:  # no Linux, or gone
        started = "0"
    return f"{socket.gethostname()}-{pid}-{started}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True
