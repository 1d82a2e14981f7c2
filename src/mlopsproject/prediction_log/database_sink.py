"""Rows straight into the database, for machines whose disks do not last."""

from __future__ import annotations

from collections.abc import Sequence

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.group_writer import Entry
from mlopsproject.prediction_log.lines import from_line
from mlopsproject.prediction_log.tables import to_record


class DatabaseSink:
    """Commits groups of rows.

    Args:
        database: where rows go.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, group: Sequence[Entry]) -> None:
        """Commit a group.

        Raises:
            RowsRefused: if the database does not take one of its rows.
            LogUnavailable: if it cannot be used.
        """
        documents = [from_line(line) for entry in group for line in entry.lines.splitlines()]
        self._database.insert([to_record(document) for document in documents if document is not None])

    def probe(self) -> None:
        """See that the database is ready.

        Raises:
            LogUnavailable: if it is not.
        """
        self._database.check()

    def close(self) -> None:
        """Nothing is open but the database, which others use, too."""
