"""Bringing databases to the tables of this version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from filelock import FileLock
from sqlalchemy import URL, Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from mlopsproject.core.errors import UserError
from mlopsproject.prediction_log.database import open_engine, shown, translate
from mlopsproject.prediction_log.old_spool import has_old_spool, take_over_spool
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import HEAD, VERSION_TABLE

#: Of PostgreSQL's advisory lock: any number, as long as every version has the same.
_LOCK: Final = 0x6D6C6F7073
#: Seconds that a migration waits for another writer of SQLite.
_PATIENCE: Final = 60


@dataclass(frozen=True, slots=True)
class Migration:
    """What a migration did.

    Attributes:
        database: its address, without passwords.
        before: revision found; `None` for a database without the log's tables.
        after: revision now; a newer version's tables are left as they are.
        taken_over: rows of an old version's spool, see `old_spool`.
    """

    database: str
    before: str | None
    after: str
    taken_over: int = 0


def migrate(settings: LogSettings) -> list[Migration]:
    """Bring the log's databases to the tables of this version: the one that is named, and the queue if there is one.

    Raises:
        LogUnavailable: if a database cannot be used.
        UserError: if SQLite's folder cannot be written.
    """
    if not settings.has_queue:
        return [migrate_local(settings)]
    is_there = Path(str(settings.local_url.database)).is_file() or has_old_spool(settings.data_dir)
    return [*([migrate_local(settings)] if is_there else []), _migrate(settings.url)]


def migrate_local(settings: LogSettings) -> Migration:
    """Bring this machine's SQLite database to the tables of this version, and take an old version's spool over.

    A second process that does it meanwhile waits.

    Raises:
        LogUnavailable: if it cannot be used.
        UserError: if its folder cannot be written.
    """
    path = Path(str(settings.local_url.database))
    # Not the database itself: closing it here would end SQLite's own locks.
    lock = FileLock(path.with_name(f"{path.name}.lock"), fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        fix = "Choose another DATA_DIR or DATABASE_URL."
        raise UserError(f"The folder {path.parent} cannot be used: {error.strerror}.", fix) from error
    try:
        done = _migrate(settings.local_url)
        return replace(done, taken_over=take_over_spool(settings.data_dir, settings.local_url))
    finally:
        lock.release()


def _migrate(url: URL) -> Migration:
    """Upgrade a database in one transaction, unless a newer version has."""
    engine = open_engine(url, begin="BEGIN IMMEDIATE", timeout=_PATIENCE)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            before = context.get_current_revision()
            if before is None or before < HEAD:
                command.upgrade(alembic_config(connection), "head")
    except SQLAlchemyError as error:
        raise translate(error, url) from error
    finally:
        engine.dispose()
    return Migration(shown(url), before, max(before or "", HEAD))


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for the packaged migrations, to run on a connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "mlopsproject.prediction_log:migrations")
    config.set_main_option("path_separator", "os")
    return config
