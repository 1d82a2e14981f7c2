"""Taking over the rows of a spool, which came before SQLite: files of one checksummed JSON document per line."""

from __future__ import annotations

import fcntl
import json
import logging
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import URL

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.rows import FeedbackRow, PredictionRow, Row
from mlopsproject.prediction_log.tables import to_record

_FOLDER: Final = "spool"
#: Lines that are no rows, or that SQLite does not take. Nothing reads it.
UNREADABLE: Final = "unreadable.txt"
#: Hex digits of the CRC-32 and the blank before a document.
_PREFIX: Final = 9
_BATCH: Final = 1000
_ROWS: Final[dict[str, TypeAdapter[Any]]] = {
    "prediction": TypeAdapter(PredictionRow),
    "feedback": TypeAdapter(FeedbackRow),
}
logger = logging.getLogger(__name__)


def has_old_spool(data_dir: Path) -> bool:
    """Whether an older version left rows there."""
    return bool(_files(data_dir))


def take_over_spool(data_dir: Path, url: URL) -> int:
    """Move the rows of an old spool into a SQLite database, and remove their files; gives how many rows that were.

    Files that a server still writes stay.

    Raises:
        LogUnavailable: if the database cannot be used.
        UserError: if the spool's folder cannot be written.
    """
    with closing(Database(url)) as database:
        return sum(_take_over(path, database) for path in _files(data_dir))


def _files(data_dir: Path) -> list[Path]:
    folder = data_dir / _FOLDER
    return [*sorted(folder.glob("*.jsonl")), *sorted((folder / "quarantine").glob("*.jsonl"))]


def _take_over(path: Path, database: Database) -> int:
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A server of the older version writes it.
            return 0
        # An unfinished line at the end was never promised to anybody. Rows that the old drainer had moved already are
        # there twice for now, and once in the end.
        lines = stream.read().split(b"\n")[:-1]
        unreadable: list[bytes] = []
        for start in range(0, len(lines), _BATCH):
            unreadable += _store(lines[start : start + _BATCH], database)
        if unreadable:
            kept = path.with_name(UNREADABLE)
            logger.error("%d line(s) of %s are no rows; they are kept in %s.", len(unreadable), path, kept)
            with kept.open("ab") as rest:
                rest.writelines(line + b"\n" for line in unreadable)
        path.unlink()
    return len(lines) - len(unreadable)


def _store(lines: list[bytes], database: Database) -> list[bytes]:
    """Store the rows of some lines; gives the lines that are none, or that the database does not take."""
    rows = {line: _row(line) for line in lines}
    records = {line: to_record(row) for line, row in rows.items() if row is not None}
    refused = [record for record, _ in database.insert_each(list(records.values()))]
    return [line for line in rows if line not in records or records[line] in refused]


def _row(line: bytes) -> Row | None:
    body = line[_PREFIX:]
    if line[:_PREFIX] != b"%08x " % zlib.crc32(body):
        return None
    try:
        document = json.loads(body)
        document.pop("version", None)
        row: Row = _ROWS[document.pop("kind")].validate_python(document)
    except (ValueError, KeyError, AttributeError):
        return None
    return row
