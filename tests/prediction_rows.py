"""Rows for tests of the prediction log, and ways to see where they are."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Table, literal_column, select

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.lines import to_line
from mlopsproject.prediction_log.rows import PredictionRow, new_id
from mlopsproject.prediction_log.segment_reader import read_batch
from mlopsproject.prediction_log.segments import SegmentWriter, list_segments, new_worker
from mlopsproject.prediction_log.tables import predictions


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


def ids(rows: list[Any]) -> list[str]:
    """The identifiers of rows or documents."""
    return [row["prediction_id"] if isinstance(row, dict) else row.prediction_id for row in rows]


def write_segment(folder: Path, rows: list[Any], *, worker: str | None = None, number: int = 1) -> Path:
    """Leave a finished segment in a spool."""
    segment = SegmentWriter.create(folder, worker or new_worker(), number)
    segment.append(b"".join(map(to_line, rows)))
    segment.close()
    return segment.path


def spooled(folder: Path) -> list[dict[str, Any]]:
    """Every whole row in a spool, in order; fails if one is damaged."""
    found = []
    for segment in list_segments(folder):
        position, more = 0, True
        while more:
            batch = read_batch(segment.path, position, 1000)
            assert not batch.damaged
            found += [document for _, document in batch.documents]
            position, more = batch.end, batch.more
    return found


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
