"""The drainer: moves rows from the spool of all workers into the database. One of them works at a time."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import threading
import time
from pathlib import Path
from typing import Final

from mlopsproject.core.errors import first_line
from mlopsproject.prediction_log.database import Database, Record
from mlopsproject.prediction_log.drain_state import DrainState, SharedState
from mlopsproject.prediction_log.errors import LogUnavailable, NotMigrated, RowsRefused
from mlopsproject.prediction_log.pacer import Pacer
from mlopsproject.prediction_log.quarantine import Quarantine
from mlopsproject.prediction_log.segment_reader import Batch, read_batch
from mlopsproject.prediction_log.segments import Segment, if_orphaned, list_segments
from mlopsproject.prediction_log.status import DatabaseState
from mlopsproject.prediction_log.tables import to_record

LOCK_FILE: Final = "drainer.lock"
#: Longest pause between two tries of a database that is down, in seconds.
MAX_PAUSE: Final = 10.0
#: Seconds after which a database that was not needed is asked whether it is there.
_CHECK_SECONDS: Final = 10.0
logger = logging.getLogger(__name__)


class FolderLock:
    """Makes one process the drainer of a spool; the kernel frees it when that process ends, however it ends.

    Args:
        folder: of the spool.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process is the drainer."""
        return self._handle is not None

    def take(self) -> bool:
        """Become the drainer, or stay it, unless another process is.

        Raises:
            OSError: if the folder cannot be written.
        """
        if self._handle is not None:
            if os.fstat(self._handle).st_nlink:
                return True
            # Somebody deleted the folder; another process may have begun anew there.
            self.release()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Let another process be the drainer."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Drainer:
    """Drains a spool in a thread of its own, as long as no other process does.

    Args:
        folder: of the spool.
        database: where rows go.
        batch_rows: rows per transaction.
        pause: seconds between two looks.
        leftovers_only: the spool is not in use; if it is there, drain what an earlier run left.
    """

    def __init__(
        self, folder: Path, database: Database, *, batch_rows: int, pause: float, leftovers_only: bool = False
    ) -> None:
        self._folder = folder
        self._database = database
        self._batch_rows = batch_rows
        self._usual_pause = pause
        self._leftovers_only = leftovers_only
        self._lock = FolderLock(folder)
        self._quarantine = Quarantine(folder)
        self._state = DrainState()
        self._shared = SharedState(folder)
        #: Whether this process knows best how draining fares; otherwise the one that does it.
        self._is_mine = True
        #: Version of rows that only a newer program can drain, if there are any.
        self._newer: int | None = None
        self._checked_at = float("-inf")
        self._deadline = float("inf")
        self._stop = threading.Event()
        self._pacer = Pacer(self._stop)
        self._thread = threading.Thread(target=self._run, name="prediction-log-drainer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Drain once more if the database answers, and let another process be the drainer.

        Args:
            timeout: seconds to wait.
        """
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        self._thread.join(timeout)

    def state(self) -> DrainState:
        """How draining fares, whichever process does it."""
        return self._state if self._is_mine else self._shared.get()

    def take(self) -> bool:
        """Become the drainer, or stay it, unless another process is; a new one goes on where the last one was.

        Raises:
            OSError: if the folder cannot be written.
        """
        held = self._lock.held
        if not self._lock.take():
            return False
        if not held:
            self._state = DrainState.load(self._folder)
            there = {segment.path.name for segment in list_segments(self._folder)}
            self._state.positions = {name: end for name, end in self._state.positions.items() if name in there}
        return True

    def release(self) -> None:
        """Let another process be the drainer."""
        self._lock.release()

    def drain(self) -> None:
        """Move all rows that are in the spool now. Only for the drainer.

        Raises:
            LogUnavailable: if the database cannot be used; what is not moved stays.
            OSError: if the spool cannot be read.
        """
        self._check()
        if self._state.database != "ok":
            # Moving what has piled up may take minutes.
            self._report("ok", None)
        self._newer = None
        while self._pass() and time.monotonic() < self._deadline:
            pass
        newer = f"A newer version of mlopsproject wrote them (rows of version {self._newer}). Use it here, too."
        self._report("ok", newer if self._newer is not None else None)

    def _run(self) -> None:
        pause = self._usual_pause
        stopped = False
        while not stopped:
            pause = self._usual_pause if self._round() else min(2 * pause, max(MAX_PAUSE, self._usual_pause))
            stopped = self._stop.wait(pause)
        self._round()
        self.release()

    def _round(self) -> bool:
        """Drain if it is this process's turn; whether nothing was wrong."""
        mine = True
        try:
            if self._leftovers_only:
                self._check()
                self._report("ok", None)
            if not self._leftovers_only or self._folder.is_dir():
                if self.take():
                    self.drain()
                    if self._newer is not None:
                        # The one that wrote these rows may be running beside this one, and can drain them.
                        self.release()
                else:
                    mine = self._leftovers_only
        except LogUnavailable as error:
            self._checked_at = float("-inf")
            self._report("not_migrated" if isinstance(error, NotMigrated) else "down", str(error))
            return False
        except OSError as error:
            self._report("down", f"The spool {self._folder} cannot be drained: {error}.")
            return False
        except Exception as error:
            # Whatever it is, the thread must live to try again: without it rows pile up until the disk is full.
            logger.exception("The spool %s cannot be drained.", self._folder)
            self._report("down", f"The spool {self._folder} cannot be drained: {first_line(error)}.")
            return False
        finally:
            self._is_mine = mine
        return True

    def _check(self) -> None:
        """Ask the database whether it is ready, unless that is known."""
        if time.monotonic() - self._checked_at > _CHECK_SECONDS:
            self._database.check()
            self._checked_at = time.monotonic()

    def _pass(self) -> bool:
        """Move a batch of each worker's oldest segment; whether there is more to do."""
        more = False
        for _, segments in itertools.groupby(list_segments(self._folder), key=lambda segment: segment.worker):
            more = self._step(next(segments)) or more
        self._pacer.behind = more
        return more

    def _step(self, segment: Segment) -> bool:
        """Move a batch of a segment, or delete it if nothing is left and nobody writes to it any more."""
        name = segment.path.name
        position = self._state.positions.get(name, 0)
        try:
            with if_orphaned(segment.path) as orphaned:
                batch = read_batch(segment.path, position, self._batch_rows, pacer=self._pacer)
                if batch.end > position:
                    self._store(name, batch)
                    self._state.positions[name] = batch.end
                    self._state.rows += len(batch.documents)
                    self._state.size += batch.end - position
                elif batch.newer is not None:
                    self._newer = batch.newer
                    return False
                elif orphaned:
                    self._delete(segment, position)
                else:
                    return False
        except FileNotFoundError:
            # Its writer ended without a row.
            return False
        self._save()
        return batch.more or orphaned

    def _delete(self, segment: Segment, position: int) -> None:
        torn = segment.path.stat().st_size - position
        if torn > 0:
            logger.info("%s ends in %d bytes of an unfinished row that nobody was promised.", segment.path, torn)
        segment.path.unlink(missing_ok=True)
        self._state.positions.pop(segment.path.name, None)

    def _store(self, segment: str, batch: Batch) -> None:
        if batch.damaged:
            self._quarantine.add(segment, batch.damaged, "they are damaged on the disk")
        rows: list[tuple[bytes, Record]] = []
        for line, document in self._pacer.each(batch.documents):
            try:
                rows.append((line, to_record(document)))
            except ValueError as error:
                self._quarantine.add(segment, [line], str(error))
        self._insert(segment, rows)

    def _insert(self, segment: str, rows: list[tuple[bytes, Record]]) -> None:
        """Insert rows, and find those that the database refuses by halving."""
        if not rows:
            return
        try:
            self._database.insert([record for _, record in rows], self._pacer)
            self._checked_at = time.monotonic()
        except RowsRefused as error:
            if len(rows) == 1:
                self._quarantine.add(segment, [rows[0][0]], str(error))
                return
            half = len(rows) // 2
            self._insert(segment, rows[:half])
            self._insert(segment, rows[half:])

    def _report(self, database: DatabaseState, error: str | None) -> None:
        if (self._state.database, self._state.error) == (database, error):
            return
        if error is not None:
            logger.warning("Rows wait in the spool: %s", error)
        elif self._state.database != "ok":
            logger.info("The database of the prediction log answers.")
        self._state.database, self._state.error = database, error
        self._save()

    def _save(self) -> None:
        if self._lock.held:
            self._state.save(self._folder)
