"""The prediction log on a real PostgreSQL server: outages, killed workers, and the same answers as on SQLite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from tests.integration.postgres import PostgresServer
from tests.prediction_rows import RunningLog, ids, make_row, make_rows, store_rows, stored, wait_for

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.errors import DatabaseDown, LogUnavailable, NotMigrated
from mlopsproject.prediction_log.export import Selection, export
from mlopsproject.prediction_log.migrate import migrate, migrate_local
from mlopsproject.prediction_log.prune import count_prunable, prune
from mlopsproject.prediction_log.queries import find
from mlopsproject.prediction_log.rows import FeedbackRow
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.stats import stats
from mlopsproject.prediction_log.tables import HEAD, VERSION_TABLE, feedback, metadata, refused

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def empty(server: PostgresServer, tmp_path: Path) -> LogSettings:
    """Settings of a log whose database has no tables yet."""
    return LogSettings(data_dir=tmp_path / "serving", database_url=server.create_database(), log_drain_seconds=0.1)


@pytest.fixture
def settings(empty: LogSettings) -> LogSettings:
    """Settings of a log whose database and queue have their tables."""
    migrate(empty)
    migrate_local(empty)
    return empty


@pytest.fixture
def queue(settings: LogSettings) -> Iterator[Database]:
    opened = Database(settings.local_url)
    yield opened
    opened.close()


def drain(queue: Database, database: Database) -> None:
    drainer = Drainer(queue, database, batch_rows=15, pause=0)
    while drainer.round()[0]:
        pass
    drainer._lock.release()


@pytest.fixture
def database(settings: LogSettings) -> Iterator[Database]:
    opened = Database(settings.url)
    yield opened
    opened.close()


def environment(settings: LogSettings) -> dict[str, str]:
    return {
        **os.environ,
        "DATA_DIR": str(settings.data_dir),
        "DATABASE_URL": str(settings.database_url),
        "LOG_DRAIN_SECONDS": "0.2",
    }


class Worker:
    """A worker process under load."""

    def __init__(self, settings: LogSettings, name: str, seconds: float) -> None:
        self._out = settings.data_dir.parent / f"{name}.out"
        self._err = settings.data_dir.parent / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.prediction_log_worker", name, str(seconds)],
                cwd=ROOT,
                env=environment(settings),
                stdout=out,
                stderr=err,
            )

    def acknowledged(self) -> list[str]:
        return self._out.read_text().split()

    def said(self) -> str:
        return self._err.read_text()

    def wait(self) -> None:
        assert self.process.wait(60) == 0, self.said()


def test_the_tables_are_what_the_migrations_make(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
                "include_object": lambda _, name, *__: name != refused.name,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_a_database_without_an_encoding_takes_rows(server: PostgresServer, queue: Database, tmp_path: Path) -> None:
    url = server.create_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    settings = LogSettings(data_dir=tmp_path, database_url=url)
    migrate(settings)
    opened = Database(settings.url)
    try:
        rows = make_rows(3)
        store_rows(queue, rows)
        drain(queue, opened)
        assert stored(opened) == ids(rows)
    finally:
        opened.close()


def test_processes_that_migrate_at_once_wait_for_each_other(empty: LogSettings) -> None:
    command = [sys.executable, "-m", "mlopsproject.log_migrate", "--env-file", ""]
    started = [
        subprocess.Popen(command, env=environment(empty), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert sum("migrated from nothing" in text for text in said) == 1
    assert all("faces:***@127.0.0.1" in text for text in said)


def test_an_interrupted_migration_leaves_nothing(empty: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlopsproject.prediction_log import migrate as module

    def upgrade_and_fail(*_: object) -> None:
        upgrade(*_)
        raise KeyboardInterrupt

    upgrade = module.command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(module.command, "upgrade", upgrade_and_fail)
        with pytest.raises(KeyboardInterrupt):
            migrate(empty)
    database = Database(empty.url)
    assert inspect(database.engine).get_table_names() == []
    with pytest.raises(NotMigrated, match="lacks the log's tables"):
        database.check()
    assert migrate(empty)[0].after == HEAD
    database.check()


def test_a_wrong_password_is_not_told(settings: LogSettings, server: PostgresServer) -> None:
    url = str(settings.database_url).replace(server.password, "geheimnis")
    with pytest.raises(DatabaseDown, match="password authentication failed") as caught:
        Database(LogSettings(database_url=url).url).check()
    assert "geheimnis" not in str(caught.value)


def test_rows_feedback_statistics_export_and_pruning_are_as_on_sqlite(
    settings: LogSettings, database: Database, tmp_path: Path
) -> None:
    other = LogSettings(data_dir=tmp_path / "sqlite")
    migrate(other)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    rows = [
        make_row(created_at=noon.timestamp() + 7.25 * number, uncertain=number % 3 == 0, confidence=0.5 + number / 64)
        for number in range(20)
    ]
    given = [FeedbackRow(row.prediction_id, "happy", created_at=row.created_at + 1) for row in rows[::4]]
    given += [FeedbackRow(rows[0].prediction_id, "sad", created_at=noon.timestamp() + 2)]
    results: list[tuple[Any, ...]] = []
    for each in (database, Database(other.url)):
        store_rows(each, [*rows, *given, *rows])
        table = export(each, tmp_path / "log.csv", Selection(since=noon + timedelta(seconds=20)), progress=False).output
        before = noon + timedelta(seconds=60)
        counted = count_prunable(each, before)
        results.append(
            (
                [find(each, row.prediction_id) for row in rows] == rows,
                stats(each, noon, noon + timedelta(minutes=2), pending=0),
                table.read_text(),
                counted,
                prune(each, before) == counted,
                stored(each),
                sorted(stored(each, feedback)),
            )
        )
    assert results[0] == results[1]
    assert results[0][0]
    assert results[0][1].total == 17
    assert (results[0][1].feedback, results[0][1].feedback_agrees) == (5, 4)


def test_rows_that_postgresql_refuses_stop_nobody(queue: Database, database: Database) -> None:
    long = "".join(chr(0x4E00 + number * 7 % 20_000) for number in range(9000))
    poison = [{"predicted": "a\0b"}, {"width": 2**40}, {"prediction_id": long}]
    rows = make_rows(40)
    for place, change in enumerate(poison):
        rows[place * 9 + 3] = replace(rows[place * 9 + 3], **change)
    store_rows(queue, rows)
    drain(queue, database)
    places = (3, 12, 21)
    good = [row for number, row in enumerate(rows) if number not in places]
    assert stored(database) == ids(good)
    assert stored(queue) == stored(queue, refused, "row_id") == [rows[place].prediction_id for place in places]


def test_an_outage_under_load_of_two_workers_loses_and_doubles_nothing_even_if_one_is_killed(
    settings: LogSettings, database: Database, queue: Database, server: PostgresServer
) -> None:
    survivor, victim = Worker(settings, "survivor", 12), Worker(settings, "victim", 60)
    try:
        wait_for(lambda: len(survivor.acknowledged()) > 100 and len(victim.acknowledged()) > 100, 60)
        wait_for(lambda: len(stored(database)) > 100)
        server.stop()
        before = len(survivor.acknowledged())
        time.sleep(4)
        # Answers went on, and none was refused.
        assert len(survivor.acknowledged()) > before + 100
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait()
    finally:
        victim.process.kill()
        server.start()
    survivor.wait()
    assert "not kept" not in survivor.said() + victim.said()
    with_log(settings)
    found = stored(database)
    assert len(found) == len(set(found))
    assert set(survivor.acknowledged()) <= set(found)
    assert set(victim.acknowledged()) <= set(found)
    requests = stored(database, name="request_id")
    for name in ("survivor", "victim"):
        own = [request for request in requests if request.startswith(name)]
        assert own == sorted(own)
    assert stored(queue) == stored(queue, refused, "row_id") == []


def with_log(settings: LogSettings) -> None:
    """Run a log until nothing waits any more, as the next worker would."""
    running = RunningLog(settings)
    wait_for(lambda: running.log.status().queue.rows == 0 and running.log.status().state == "ok", 30)
    running.close(10)


def test_a_killed_drainer_is_followed_by_another_worker(settings: LogSettings, database: Database) -> None:
    workers = [Worker(settings, name, 60) for name in ("first", "second")]
    try:
        wait_for(lambda: all(len(worker.acknowledged()) > 50 for worker in workers), 60)
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
            time.sleep(0.5)
    finally:
        for worker in workers:
            worker.process.kill()
    with_log(settings)
    found = stored(database)
    assert len(found) == len(set(found))
    for worker in workers:
        assert set(worker.acknowledged()) <= set(found)


def test_the_state_follows_the_server(settings: LogSettings, database: Database, server: PostgresServer) -> None:
    running, row = RunningLog(settings), make_row(created_at=1_770_000_000.25)
    log = running.log
    try:
        wait_for(lambda: log.status().state == "ok")
        server.stop()
        running.write(row)
        wait_for(lambda: log.status().database == "down" and log.status().queue.rows == 1)
        status = log.status()
        assert (status.state, status.queue.rows) == ("degraded", 1)
        assert server.password not in str(status.error)
        assert log.knows(row.prediction_id) == row
        with pytest.raises(LogUnavailable):
            log.knows("0" * 32)
        with pytest.raises(LogUnavailable):
            log.stats()
        server.start()
        wait_for(lambda: log.status().state == "ok" and log.status().queue.rows == 0, 20)
        assert log.stats(datetime(2026, 1, 1), datetime(2026, 12, 31)).total == 1
    finally:
        server.start()
        running.close(5)
    assert stored(database) == [row.prediction_id]


def test_straight_into_the_database_refuses_during_an_outage_and_recovers(
    settings: LogSettings, database: Database, server: PostgresServer
) -> None:
    running = RunningLog(settings.model_copy(update={"log_durability": "database"}))
    log = running.log
    first, lost, last = make_rows(3)
    try:
        running.write(first)
        assert stored(database) == [first.prediction_id]
        server.stop()
        start = time.monotonic()
        with pytest.raises(LogUnavailable, match="cannot be used"):
            running.write(lost)
        assert time.monotonic() - start < 10
        assert log.status().state == "failing"
        server.start()
        wait_for(lambda: log.status().state == "ok", 20)
        running.write(last)
    finally:
        server.start()
        running.close(5)
    assert stored(database) == ids([first, last])


def test_what_an_earlier_run_left_is_drained_also_where_rows_go_straight_into_the_database(
    settings: LogSettings, database: Database, queue: Database
) -> None:
    rows = make_rows(3)
    store_rows(queue, rows)
    running = RunningLog(settings.model_copy(update={"log_durability": "database"}))
    wait_for(lambda: stored(database) == ids(rows))
    wait_for(lambda: running.log.status().state == "ok")
    running.close()


def test_a_log_moves_from_sqlite_to_postgresql(settings: LogSettings, database: Database) -> None:
    """The database that was the log becomes the queue."""
    rows = make_rows(250)
    alone = RunningLog(settings.model_copy(update={"database_url": None}))
    alone.write(*rows)
    alone.close()
    with_log(settings)
    assert stored(database) == ids(rows)
