"""The database of the prediction log: connections, what its errors mean, and the one way in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import URL, Connection, Engine, Table, column, create_engine, event, exc, false, select, table
from sqlalchemy.dialects import postgresql, sqlite

from mlopsproject.core.errors import first_line
from mlopsproject.prediction_log.errors import DatabaseDown, LogUnavailable, NotMigrated, RowsRefused
from mlopsproject.prediction_log.tables import HEAD, VERSION_TABLE, Record, feedback, predictions

_versions: Final = table(VERSION_TABLE, column("version_num"))
MIGRATE: Final = "Run: python -m mlopsproject.log_migrate"
#: Seconds after which a server that does not answer counts as down, and that SQLite waits for another writer.
_TIMEOUT: Final = 5
_SERVER_OPTIONS: Final = {
    "connect_timeout": _TIMEOUT,
    "tcp_user_timeout": _TIMEOUT * 1000,
    "keepalives_idle": _TIMEOUT,
    "keepalives_interval": _TIMEOUT,
    "keepalives_count": 2,
    "application_name": "mlopsproject prediction log",
    # A database that was made without an encoding (SQL_ASCII) would answer bytes.
    "client_encoding": "utf8",
}
#: SQLSTATEs that blame a value, though the driver counts them among other errors: limits such as that of an index, and
#: types that do not fit.
_VALUE_STATES: Final = ("54", "42804", "42846")
#: Bytes that must fit on the disk before rows are taken again.
_ROOM: Final = 256 * 1024
_UNDEFINED_TABLE: Final = "42P01"


def shown(url: URL) -> str:
    """A database's address without passwords."""
    return url.set(query={}).render_as_string(hide_password=True)


def open_engine(url: URL, *, begin: str = "BEGIN", timeout: int = _TIMEOUT) -> Engine:
    """Make an engine; connects only when it is used. SQLite has a write-ahead log, and commits survive a power cut.

    Args:
        url: of SQLite or PostgreSQL.
        begin: how SQLite begins a transaction.
        timeout: seconds that SQLite waits for another writer.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"timeout": timeout} if is_sqlite else dict(_SERVER_OPTIONS)
    engine = create_engine(
        url,
        connect_args={name: value for name, value in options.items() if name not in url.query},
        pool_pre_ping=not is_sqlite,
        pool_size=2,
        max_overflow=4,
        pool_timeout=_TIMEOUT,
        hide_parameters=True,
        json_serializer=lambda value: to_json(value).decode(),
    )

    def connected(connection: Any, _: object) -> None:
        # Otherwise the driver begins and commits on its own account, and leaves changes of the schema out.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    if is_sqlite:
        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


class Database:
    """The log's database, opened when first used. Thread-safe.

    Attributes:
        url: of SQLite or PostgreSQL.
        is_sqlite: whether it is a file of this machine.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = open_engine(url)
        self._opened: tuple[int, int] | None = None
        insert = sqlite.insert if self.is_sqlite else postgresql.insert
        self._inserts = {table: insert(table).on_conflict_do_nothing() for table in (predictions, feedback)}

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection within a transaction, committed at the end.

        Raises:
            RowsRefused: for what the database does not take.
            LogUnavailable: for other errors of the database.
        """
        file = self._file()
        try:
            with self.engine.begin() as connection:
                yield connection
        except exc.SQLAlchemyError as error:
            raise translate(error, self.url) from error
        if file is not None and self._file() != file:
            raise DatabaseDown(f"The database {shown(self.url)} was replaced while it was in use.")

    def _file(self) -> tuple[int, int] | None:
        """Which file SQLite's connections are to; `None` for a server. If it is another one than before, they end.

        Somebody may delete or replace the file: SQLite would go on writing to the old one, which has no name any more.

        Raises:
            NotMigrated: if there is none; connecting would make an empty one.
        """
        if not self.is_sqlite:
            return None
        try:
            found = Path(str(self.url.database)).stat()
        except OSError:
            raise NotMigrated(f"There is no database {shown(self.url)} yet.", MIGRATE) from None
        file = (found.st_dev, found.st_ino)
        if file != self._opened:
            self.engine.dispose()
            self._opened = file
        return file

    def revision(self) -> str:
        """Revision of the log's tables, as the database has it.

        Raises:
            LogUnavailable: if it does not answer or has none.
        """
        with self.transaction() as connection:
            return connection.scalar(select(_versions.c.version_num)) or ""

    def check(self) -> None:
        """See that the database answers and has the tables that this version needs.

        A newer version's tables will do: migrations only add to them.

        Raises:
            NotMigrated: if they are older.
            LogUnavailable: if it does not answer.
        """
        if self.revision() < HEAD:
            raise NotMigrated(f"The database {shown(self.url)} has the log's tables of an older version.", MIGRATE)

    def check_writable(self, *, has_failed: bool = False) -> None:
        """See that rows could be written: as `check`, and SQLite is not locked by another writer.

        Args:
            has_failed: rows could not be written before; see that there is room on SQLite's disk, too.

        Raises:
            LogUnavailable: if not.
        """
        self.check()
        if not self.is_sqlite:
            return
        with self.transaction() as connection:
            # Takes the writer's lock, and writes nothing.
            connection.execute(_versions.update().values(version_num="").where(false()))
        if not has_failed:
            return
        try:
            with tempfile.TemporaryFile(dir=Path(str(self.url.database)).parent) as stream:
                stream.write(bytes(_ROOM))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise DatabaseDown(f"The folder of {shown(self.url)} cannot be written: {error.strerror}.") from error

    def insert(self, records: Sequence[Record]) -> None:
        """Add records of any of the log's tables in one transaction; those that are there already stay as they are.

        Raises:
            RowsRefused: if one of them cannot be stored; then none is.
            LogUnavailable: if the database cannot be used.
        """
        by_table: dict[Table, list[dict[str, Any]]] = {}
        for target, record in records:
            by_table.setdefault(target, []).append(record)
        try:
            with self.transaction() as connection:
                for target, values in by_table.items():
                    connection.execute(self._inserts[target], values)
        except (ValueError, TypeError, OverflowError) as error:
            # SQLite's driver says so of values that no column can hold.
            raise RowsRefused(f"A row cannot be stored: {first_line(error)}.") from error

    def insert_each(self, records: Sequence[Record]) -> list[tuple[Record, RowsRefused]]:
        """Add records, together if that is possible, and else one by one.

        Returns:
            The records that the database does not take, each with its reason.

        Raises:
            LogUnavailable: if the database cannot be used.
        """
        try:
            self.insert(records)
        except RowsRefused as error:
            if len(records) == 1:
                return [(records[0], error)]
            return [failure for record in records for failure in self.insert_each([record])]
        return []

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()


def translate(error: exc.SQLAlchemyError, url: URL) -> LogUnavailable:
    """Say what an error of the database means for the log."""
    cause = getattr(error, "orig", None) or error
    state = str(getattr(cause, "sqlstate", None) or "")
    said = first_line(cause)
    for secret in filter(None, (url.password, url.query.get("password"))):
        said = said.replace(str(secret), "***")
    if state == _UNDEFINED_TABLE or said.startswith("no such table"):
        return NotMigrated(f"The database {shown(url)} lacks the log's tables.", MIGRATE)
    if _is_about_rows(error, state):
        return RowsRefused(f"The database does not take a row: {said}.")
    fix = "Free some disk space." if "disk is full" in said else ""
    return DatabaseDown(f"The database {shown(url)} cannot be used: {said}.", fix)


def _is_about_rows(error: exc.SQLAlchemyError, state: str) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return False
    if isinstance(error, exc.DataError | exc.IntegrityError) or state.startswith(_VALUE_STATES):
        return True
    if isinstance(error, exc.InterfaceError | exc.ProgrammingError):
        # With a state it comes from the server, such as a missing right; without one the driver dislikes a value.
        return not state
    return isinstance(error, exc.StatementError) and not isinstance(error, exc.DBAPIError)
