"""Spool segments: append-only files of lines, each written by one worker and locked by it for as long as it lives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from mlopsproject.core.files import sync

SUFFIX: Final = ".jsonl"
logger = logging.getLogger(__name__)
# macOS has no fdatasync.
_sync_data = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A segment of the spool; they sort by worker, then in the order of writing.

    Attributes:
        worker: name of its writer.
        number: counts the segments of that worker.
        path: of the file.
        size: in bytes, when it was listed.
    """

    worker: str
    number: int
    path: Path
    size: int


def new_worker() -> str:
    """A name for a writer that no other has; names sort by time."""
    return f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(3)}"


def list_segments(folder: Path) -> list[Segment]:
    """Every segment of a spool folder, in order; none if there is no folder."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            worker, _, rest = entry.name.partition(".")
            number = rest.removesuffix(SUFFIX)
            if rest.endswith(SUFFIX) and number.isdigit():
                # The drainer may delete it meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    found.append(Segment(worker, int(number), folder / entry.name, entry.stat().st_size))
    return sorted(found)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, so that a power cut does not undo it.

    Raises:
        OSError: if that is not possible.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


@contextlib.contextmanager
def if_orphaned(path: Path) -> Iterator[bool]:
    """Hold a segment if its writer is gone; give whether it is. Nobody writes to it while it is held."""
    handle = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


class SegmentWriter:
    """Appends to a segment of its own; a failed append ends the segment.

    Attributes:
        path: of the file.
        size: bytes that are durable.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.size = 0
        self._handle = handle

    @classmethod
    def create(cls, folder: Path, worker: str, number: int) -> Self:
        """Begin a segment.

        Raises:
            OSError: if the folder cannot be written, or if the drainer took the empty file for an orphan; then the
                next number does it.
        """
        make_folder(folder)
        path = folder / f"{worker}.{number:08d}{SUFFIX}"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            _check_linked(handle, path)
            sync(folder)
        except BaseException:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        return cls(path, handle)

    def append(self, data: bytes) -> None:
        """Write whole lines and wait until they are on the disk.

        Raises:
            OSError: if that fails. Then nothing of `data` is left in the file, and the segment is closed: the drainer
                may have read beyond its end already, so nothing else may take that place.
        """
        try:
            _check_linked(self._handle, self.path)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            _sync_data(self._handle)
        except BaseException:
            self._abandon()
            raise
        self.size += len(data)

    def _abandon(self) -> None:
        try:
            os.ftruncate(self._handle, self.size)
            os.fsync(self._handle)
        except OSError as error:
            # Rows that were refused may then be drained once all the same: one too many, never one too few.
            logger.error("%s cannot be cut back to what was acknowledged: %s", self.path, error)
        self.close()

    def close(self) -> None:
        """Leave the segment to the drainer; an empty one is deleted."""
        with contextlib.suppress(OSError):
            if self.size == 0 and os.fstat(self._handle).st_size == 0:
                self.path.unlink(missing_ok=True)
        os.close(self._handle)


def _check_linked(handle: int, path: Path) -> None:
    """Notice that somebody deleted the file: what is written to it would be lost.

    Raises:
        FileNotFoundError: if it has no name any more.
    """
    if os.fstat(handle).st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, "somebody deleted the file", str(path))
