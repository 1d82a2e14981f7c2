"""How long the queries behind the monitoring page take over a large prediction log: `benchmark what=stats`."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import URL

from mlopsproject.core.checks import check_number, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.machine import cpu_name
from mlopsproject.load.bars import at_most
from mlopsproject.load.generated_log import GeneratedLog
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.stats import stats

logger = logging.getLogger(__name__)
#: Seconds that the page may wait for the log.
BAR: Final = 1.0
#: What the page can look at, in days; `all` is the whole log.
_SPANS: Final[Mapping[str, float]] = {"hour": 1 / 24, "day": 1, "week": 7, "month": 30}
_ALL: Final = "all"


def benchmark_stats(
    rows: int = 1_000_000,
    days: float = 90,
    models: int = 2,
    remarks: int = 20_000,
    rounds: int = 5,
    database_url: str | None = None,
) -> dict[str, Any]:
    """Fill a temporary SQLite database, and PostgreSQL where one is named, and ask what the page asks.

    Args:
        rows: answers in the log.
        days: over which they are spread, up to now.
        models: that gave them.
        remarks: feedback to them.
        rounds: how often each question is asked; the median counts.
        database_url: of a PostgreSQL database. The tables are made in a schema of their own, which is removed again.

    Returns:
        Seconds by database and span, and the `bars`.

    Raises:
        ConfigError: for an impossible value.
        LogUnavailable: if a database cannot be used.
    """
    check_whole("stats.rows", rows, lowest=1)
    check_number("stats.days", days, open_ends=True)
    check_whole("stats.models", models, lowest=1)
    check_whole("stats.remarks", remarks, lowest=0)
    check_whole("stats.rounds", rounds, lowest=1)
    until = datetime.now(UTC).replace(microsecond=0)
    log = GeneratedLog(rows, until.timestamp(), days, models, remarks)
    figures: dict[str, Any] = {"machine": cpu_name(), "rows": rows, "feedback": min(remarks, rows), "models": models}
    bars = {}
    with temporary_databases(database_url) as databases:
        for name, database in databases.items():
            figures[name] = _measure(name, database, log, rounds)
            measured = figures[name][f"{_ALL}, s"]
            bars[f"the page's queries over all rows, {name}, s"] = at_most(measured, BAR)
    return figures | {"bars": bars}


def _measure(name: str, database: Database, log: GeneratedLog, rounds: int) -> dict[str, float]:
    began = time.perf_counter()
    log.fill(database)
    filled = time.perf_counter() - began
    logger.info("%s: %d rows in %.1f s", name, log.rows, filled)
    if not database.is_sqlite:
        _vacuum(database)
    figures = {"filling, s": filled}
    until = datetime.fromtimestamp(log.until, UTC)
    for span, days in {**_SPANS, _ALL: log.days}.items():
        taken, computed = [], []
        for _ in range(rounds):
            began, own = time.perf_counter(), time.process_time()
            found = stats(database, until - timedelta(days=days), until, pending=0)
            taken.append(time.perf_counter() - began)
            computed.append(time.process_time() - own)
        if span == _ALL:
            assert found.total == log.rows
            figures["all for the first time, s"] = taken[0]
        figures[f"{span}, s"] = median(taken)
        logger.info("%s, %s: %d rows, %.3f s", name, span, found.total, median(taken))
    # Of PostgreSQL, what the caller computes; the rest is the server's.
    return figures | {"all, CPU time of this process, s": median(computed)}


@contextmanager
def temporary_databases(database_url: str | None) -> Iterator[dict[str, Database]]:
    """Migrated databases without rows, by name: SQLite, and PostgreSQL where one is named. They are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-stats-") as folder:
        settings = LogSettings(data_dir=Path(folder), database_url=None)
        migrate(settings)
        databases = {"SQLite": Database(settings.url)}
        try:
            if database_url is None:
                yield databases
            else:
                with _postgresql(database_url) as database:
                    yield {**databases, "PostgreSQL": database}
        finally:
            databases["SQLite"].close()


@contextmanager
def _postgresql(database_url: str) -> Iterator[Database]:
    """A PostgreSQL database's tables in a schema of their own: what it holds besides is not touched."""
    url = LogSettings.read(None, database_url).url
    if url.get_backend_name() != "postgresql":
        raise ConfigError(
            "stats.database_url names no PostgreSQL database.",
            "Give postgresql://USER:PASSWORD@HOST/NAME; SQLite is measured in any case.",
        )
    schema = f"benchmark_{secrets.token_hex(6)}"
    outside, within = Database(url), url.update_query_dict({"options": f"-csearch_path={schema}"})
    try:
        with outside.transaction() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        database = Database(within)
        try:
            migrate(LogSettings(database_url=_with_password(within)))
            yield database
        finally:
            database.close()
            with outside.transaction() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    finally:
        outside.close()


def _with_password(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _vacuum(database: Database) -> None:
    """What PostgreSQL does by itself, within minutes of so many new rows."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE predictions, feedback")
