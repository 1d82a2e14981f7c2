"""Rows for tests of the prediction log, and ways to see where they are."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Table, literal_column, select

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.log import PredictionLog
from mlopsproject.prediction_log.rows import PredictionRow, Row, new_id
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import predictions, to_record


def make_row(**changes: Any) -> PredictionRow:
    """An answer, with values of its own where asked for."""
    values: dict[str, Any] = {
        "prediction_id": new_id(),
        "request_id": new_id(),
        "created_at": time.time(),
        "model_version": "tiny-0123456789ab",
        "precision": "int8",
        "source": "upload",
        "predicted": "happy",
        "confidence": 0.75,
        "uncertain": False,
        "probabilities": {"angry": 0.0625, "fear": 0.0625, "happy": 0.75, "sad": 0.0625, "surprise": 0.0625},
        "face_search": "found",
        "box": (10, 20, 100, 120),
        "width": 640,
        "height": 480,
        "brightness": 0.5,
        "contrast": 0.25,
        "sharpness": 0.125,
        "latency_ms": 3.5,
    }
    return PredictionRow(**{**values, **changes})


def make_rows(count: int, **changes: Any) -> list[PredictionRow]:
    """Several answers, in order."""
    return [make_row(**changes) for _ in range(count)]


def ids(rows: Sequence[Row]) -> list[str]:
    """The prediction ids of rows."""
    return [row.prediction_id for row in rows]


def store_rows(database: Database, rows: Sequence[Row]) -> None:
    """Put rows into a database."""
    database.insert([to_record(row) for row in rows])


class RunningLog:
    """A prediction log in an event loop of its own thread, as a server has it."""

    def __init__(self, settings: LogSettings) -> None:
        self.log = PredictionLog(settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._loop.call_soon_threadsafe(self.log.start)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the log's loop and give its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def write(self, *rows: Row) -> None:
        """Have rows kept, and wait."""
        self.run(self.log.write(rows))

    def write_each(self, rows: Sequence[Row]) -> list[Any]:
        """Have rows kept by a caller each, at the same time; `None` or what went wrong, in order."""

        async def write() -> list[Any]:
            return await asyncio.gather(*(self.log.write([row]) for row in rows), return_exceptions=True)

        found: list[Any] = self.run(write())
        return found

    def close(self, seconds: float = 5.0) -> None:
        """Close the log and end the thread."""
        self.run(self.log.close(seconds))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@contextmanager
def running_log(settings: LogSettings, **changes: Any) -> Iterator[RunningLog]:
    """A log with some settings changed, closed at the end."""
    running = RunningLog(settings.model_copy(update=changes))
    try:
        yield running
    finally:
        running.close()


def stored(database: Database, table: Table = predictions, name: str = "prediction_id") -> list[str]:
    """A column of a table's rows, in the order in which they were stored."""
    order = literal_column("rowid" if database.is_sqlite else "ctid")
    with database.transaction() as connection:
        return list(connection.scalars(select(table.c[name]).order_by(order)))


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until something is so; fail if it does not become so."""
    for _ in itertools.takewhile(lambda until: time.monotonic() < until, itertools.repeat(time.monotonic() + seconds)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")
