"""A folder in which the workers of one server share their metrics.

`prometheus_client` looks for `PROMETHEUS_MULTIPROC_DIR` when it is imported, so this module must come first.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from mlopsproject.core.files import writing

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_FOLDER: Final = "metrics"
_LOCK: Final = ".lock"


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
        if given is not None:
            folder.mkdir(parents=True, exist_ok=True)
        else:
            _occupy(folder)
            _clear_away(folder.parent)
    os.environ[VARIABLE] = str(folder)
    return folder


def shared_folder() -> Path | None:
    """The folder that `share_metrics` chose, or the environment names."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else None


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


def _occupy(folder: Path) -> None:
    """Make the folder, and hold its lock with the sister workers until this process ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        # Another server may clear the folder away until it is locked.
        with suppress(FileNotFoundError):
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_SH)
                if os.fstat(handle).st_ino == (folder / _LOCK).stat().st_ino:
                    handle = -1  # kept
                    return
            finally:
                if handle >= 0:
                    os.close(handle)


def _clear_away(parent: Path) -> None:
    for folder in parent.iterdir():
        with suppress(OSError):
            handle = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
