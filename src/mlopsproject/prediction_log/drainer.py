"""The drainer: moves rows from this machine's SQLite database into PostgreSQL. One process of the machine does it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock, Timeout
from sqlalchemy import Column, ColumnElement, Table, delete, func, insert, select, text

from mlopsproject.core.errors import first_line
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.errors import LogUnavailable, NotMigrated, RowsRefused
from mlopsproject.prediction_log.tables import HEAD, Record, feedback, predictions, refused

#: Longest pause between two tries of a server that is down, in seconds.
MAX_PAUSE: Final = 10.0
#: Each table with its key, in the order in which they are moved.
_KEYS: Final[dict[Table, Column[str]]] = {
    predictions: predictions.c.prediction_id,
    feedback: feedback.c.feedback_id,
}
logger = logging.getLogger(__name__)

DatabaseState = Literal["ok", "down", "not_migrated", "off"]


@dataclass(frozen=True, slots=True)
class QueueState:
    """How the queue and its server fare.

    Attributes:
        database: how the server was when it was asked last.
        error: what is wrong, as text.
        rows: that wait, without those that were refused.
        bytes: that the queue takes on the disk.
        oldest: when the oldest row that waits was made, as Unix time.
        refused: rows that the server did not take.
    """

    database: DatabaseState = "down"
    error: str | None = "The database has not answered yet."
    rows: int = 0
    bytes: int = 0
    oldest: float | None = None
    refused: int = 0

    @property
    def age(self) -> float:
        """Of the oldest row that waits, in seconds; 0 without one."""
        return max(0.0, time.time() - self.oldest) if self.oldest is not None else 0.0


class Drainer:
    """Moves rows from a queue to a server, as long as no other process of this machine does.

    Args:
        queue: SQLite database that rows wait in.
        server: database that they go to.
        batch_rows: rows per transaction.
        pause: seconds between two looks at the queue.
    """

    def __init__(self, queue: Database, server: Database, *, batch_rows: int, pause: float) -> None:
        self._queue, self._server = queue, server
        self._batch_rows, self._pause = batch_rows, pause
        # The kernel frees it when its process ends, however it ends.
        path = Path(str(queue.url.database)).with_name("drainer.lock")
        self._lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
        self._stopping = asyncio.Event()
        self._measured_at = float("-inf")
        #: How the queue and its server fare, whichever process drains.
        self.state = QueueState()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def close(self, timeout: float) -> None:
        """Drain once more if the server answers, for at most `timeout` seconds; then another process may do it."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()

    async def _run(self) -> None:
        pause, last = self._pause, False
        while True:
            began = time.monotonic()
            moved, self.state = await asyncio.to_thread(self.round)
            if moved:
                # There is more, and the last look at an orderly end moves all of it. Requests need Python's lock, too.
                await asyncio.sleep(time.monotonic() - began)
                continue
            if last:
                break
            pause = self._pause if self.state.error is None else min(2 * pause, max(MAX_PAUSE, self._pause))
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                last = True
            except TimeoutError:
                pass
        self._lock.release()

    def round(self) -> tuple[int, QueueState]:
        """Move a batch if it is this process's turn; blocks.

        Returns:
            How many rows were moved or refused, 0 if none wait or they cannot be moved now; and how things are now.
        """
        database: DatabaseState = "ok"
        moved, error = 0, None
        try:
            self._server.check()
            if self._queue.revision() > HEAD:
                # Its rows may have columns that only a newer program can move; one that runs beside this one does.
                self._lock.release()
                error = "A newer version of mlopsproject has used the queue; that one, or a later one, must empty it."
            else:
                if not self._lock.is_locked:
                    self._lock.acquire()
                moved = self._move()
        except Timeout:
            # Another process drains.
            pass
        except LogUnavailable as problem:
            database, error = database_state(problem), str(problem)
        except Exception as problem:
            # Whatever it is, the next round must come: without it rows pile up until the disk is full.
            logger.exception("The prediction log's queue cannot be emptied.")
            database, error = "down", f"The prediction log's queue cannot be emptied: {first_line(problem)}."
        if error is not None and error != self.state.error:
            logger.warning("Rows wait on this machine: %s", error)
        elif error is None and self.state.error is not None:
            logger.info("The database of the prediction log answers.")
        now = time.monotonic()
        if moved and now - self._measured_at < self._pause:
            # Counting a million rows takes far longer than moving a batch.
            return moved, replace(self.state, database=database, error=error)
        self._measured_at = now
        return moved, self._measure(database, error)

    def _measure(self, database: DatabaseState, error: str | None) -> QueueState:
        try:
            with self._queue.transaction() as connection:
                rows = kept = 0
                oldest = []
                for table, key in _KEYS.items():
                    rows += connection.scalar(select(func.count()).select_from(table)) or 0
                    kept += connection.scalar(select(func.count()).where(_is_refused(key))) or 0
                    first = connection.scalar(select(func.min(table.c.created_at)).where(~_is_refused(key)))
                    oldest += [first.timestamp()] if first else []
                pages, free, size = (
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("page_count", "freelist_count", "page_size")
                )
        except LogUnavailable as problem:
            return QueueState("down" if database == "ok" else database, error or str(problem))
        return QueueState(database, error, rows - kept, (pages - free) * size, min(oldest, default=None), kept)

    def _move(self) -> int:
        """Move a batch of the first table that has rows; how many."""
        for table, key in _KEYS.items():
            with self._queue.transaction() as connection:
                # In the order in which they were written.
                waiting = select(table).where(~_is_refused(key)).order_by(text("rowid")).limit(self._batch_rows)
                rows = connection.execute(waiting).mappings().all()
            if rows:
                for record, error in self._server.insert_each([(table, dict(row)) for row in rows]):
                    self._refuse(record, error)
                moved = [row[key.name] for row in rows]
                with self._queue.transaction() as connection:
                    connection.execute(delete(table).where(key.in_(moved), ~_is_refused(key)))
                return len(rows)
        return 0

    def _refuse(self, record: Record, error: RowsRefused) -> None:
        """Note that the server did not take a row, which stays here."""
        table, row = record
        values = {"row_id": row[_KEYS[table].name], "reason": str(error), "refused_at": time.time()}
        with self._queue.transaction() as connection:
            connection.execute(insert(refused), values)
        logger.error("PostgreSQL does not take a row, it stays in %s: %s", self._queue.url.database, error)


def _is_refused(key: Column[str]) -> ColumnElement[bool]:
    return key.in_(select(refused.c.row_id))


def database_state(failure: LogUnavailable | None) -> DatabaseState:
    """What a failure, if any, says of a database."""
    return "ok" if failure is None else "not_migrated" if isinstance(failure, NotMigrated) else "down"
