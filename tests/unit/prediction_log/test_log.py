"""The prediction log of a worker: what is acknowledged is kept, and its state says how it fares."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.prediction_rows import RunningLog, ids, make_row, make_rows, running_log, store_rows, stored, wait_for

from mlopsproject.core.errors import ConfigError
from mlopsproject.prediction_log import log as log_module
from mlopsproject.prediction_log import writer as writer_module
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.errors import DatabaseDown, LogOff, LogUnavailable
from mlopsproject.prediction_log.migrate import migrate, migrate_local
from mlopsproject.prediction_log.rows import FeedbackRow, new_id
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import feedback

#: Nobody listens there.
DOWN = "postgresql://me@127.0.0.1:1/log"


def full(*_: Any, **__: Any) -> None:
    raise DatabaseDown("No space left.", "Free some.")


@pytest.fixture(autouse=True)
def _looks_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.02)


def state(running: RunningLog) -> str:
    return running.log.status().state


def test_rows_are_in_the_database_when_write_returns(settings: LogSettings, database: Database) -> None:
    rows = make_rows(3)
    with running_log(settings) as running:
        running.write(*rows)
        assert stored(database) == ids(rows)
        status = running.log.status()
    assert (status.state, status.database, status.queue.rows, status.queue.bytes) == ("ok", "ok", 0, 0)


def test_a_commit_is_on_the_disk(settings: LogSettings) -> None:
    with Database(settings.url).transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL


def test_many_requests_at_once_are_all_kept_in_few_commits(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    insert, rows = Database.insert, make_rows(200)
    monkeypatch.setattr(Database, "insert", lambda self, records: commits.append(1) or insert(self, records))
    with running_log(settings) as running:
        assert running.write_each(rows) == [None] * 200
    assert stored(database) == ids(rows)
    assert len(commits) < 20


def test_what_cannot_be_kept_is_refused_until_it_can(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(2)
    with running_log(settings) as running:
        with monkeypatch.context() as patch:
            patch.setattr(Database, "insert", full)
            patch.setattr(Database, "check_writable", full)
            for _ in range(2):
                with pytest.raises(LogUnavailable, match=r"No space left\. Free some\."):
                    running.write(rows[0])
            status = running.log.status()
            assert (status.state, status.database, status.dropped_rows) == ("failing", "down", 0)
            assert "No space left" in str(status.error)
        wait_for(lambda: state(running) == "ok")
        running.write(rows[1])
    assert stored(database) == ids(rows[1:])


def test_where_answers_matter_more_rows_are_dropped_and_counted(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(3)
    with running_log(settings, log_when_full="answer") as running:
        with monkeypatch.context() as patch:
            patch.setattr(Database, "insert", full)
            patch.setattr(Database, "check_writable", full)
            running.write(*rows[:2])
            status = running.log.status()
            assert (status.state, status.dropped_rows) == ("failing", 2)
        wait_for(lambda: state(running) == "ok")
        running.write(rows[2])
        assert running.log.status().dropped_rows == 2
    assert stored(database) == ids(rows[2:])


def test_a_commit_that_takes_long_is_told_while_it_lasts(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, insert = threading.Event(), Database.insert
    monkeypatch.setattr(Database, "insert", lambda self, records: gate.wait(10) and insert(self, records))
    monkeypatch.setattr(log_module, "_SLOW_COMMIT", 0.05)
    with running_log(settings) as running:
        wait_for(lambda: state(running) == "ok")
        threading.Thread(target=running.write, args=(make_row(),)).start()
        wait_for(lambda: state(running) == "degraded")
        assert "says nothing for" in str(running.log.status().error)
        monkeypatch.setattr(log_module, "WRITE_TIMEOUT", 0.06)
        wait_for(lambda: state(running) == "failing")
        gate.set()
        wait_for(lambda: state(running) == "ok")


def test_a_locked_database_is_never_said_to_be_fine(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_IDLE_SECONDS", 0.02)
    monkeypatch.setattr(log_module, "_SLOW_COMMIT", 0.1)
    row = make_row()
    with running_log(settings) as running:
        with sqlite3.connect(str(settings.url.database), isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            wait_for(lambda: state(running) != "ok")
            # Waiting, failing and waiting again.
            seen = [time.sleep(0.05) or state(running) for _ in range(140)]
            assert "ok" not in seen
            assert "failing" in seen
            with pytest.raises(LogUnavailable, match="database is locked"):
                running.write(make_row())
            other.execute("ROLLBACK")
        wait_for(lambda: state(running) == "ok")
        running.write(row)
    assert stored(database) == ids([row])


def test_looking_whether_rows_could_be_written_writes_nothing(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_IDLE_SECONDS", 0.01)
    log = Path(f"{settings.url.database}-wal")
    with running_log(settings) as running:
        running.write(make_row())
        before = log.stat()
        looks: list[int] = []
        check = Database.check_writable
        monkeypatch.setattr(Database, "check_writable", lambda self, **how: looks.append(1) or check(self, **how))
        wait_for(lambda: len(looks) > 5)
        assert (log.stat().st_size, log.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_database_that_is_deleted_or_replaced_takes_no_row_with_it(
    settings: LogSettings, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    # A look in the middle of the replacement would refuse rows until the next one.
    monkeypatch.setattr(writer_module, "_IDLE_SECONDS", 0.05 if how == "deleted" else 60.0)
    path, rows = Path(str(settings.url.database)), make_rows(3, created_at=1_770_000_000.25)
    with running_log(settings) as running:
        running.write(make_row())
        for name in path.parent.glob("predictions.db*"):
            name.unlink()
        if how == "replaced":
            other = LogSettings(data_dir=path.parent / "other")
            migrate(other)
            Path(str(other.url.database)).replace(path)
        else:
            with pytest.raises(LogUnavailable, match=r"There is no database .*\.log_migrate"):
                running.write(make_row())
            wait_for(lambda: running.log.status().database == "not_migrated")
            assert state(running) == "failing"
            migrate(settings)
            wait_for(lambda: state(running) == "ok")
        running.write(*rows)
        assert [running.log.knows(row.prediction_id) for row in rows] == rows
        found = Database(settings.url)
        assert stored(found) == ids(rows)


def test_a_database_that_is_replaced_in_the_middle_of_a_commit_acknowledges_nothing(
    settings: LogSettings, database: Database
) -> None:
    def replace_it() -> None:
        with database.transaction():
            path.rename(path.with_name("old.db"))
            migrate(settings)

    path = Path(str(settings.url.database))
    with pytest.raises(DatabaseDown, match="was replaced while it was in use"):
        replace_it()


def test_without_tables_rows_are_refused_and_the_state_has_the_command(tmp_path: Path) -> None:
    settings, row = LogSettings(data_dir=tmp_path), make_row()
    with running_log(settings) as running:
        wait_for(lambda: running.log.status().database == "not_migrated")
        assert state(running) == "failing"
        assert "python -m mlopsproject.log_migrate" in str(running.log.status().error)
        migrate(settings)
        wait_for(lambda: state(running) == "ok")
        running.write(row)
    assert stored(Database(settings.url)) == ids([row])


def test_a_version_goes_on_with_the_tables_of_a_newer_one(settings: LogSettings, database: Database) -> None:
    row = make_row()
    with running_log(settings) as running:
        with database.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE predictions ADD COLUMN mood TEXT NOT NULL DEFAULT 'none'")
            connection.exec_driver_sql("UPDATE prediction_log_version SET version_num = '9999'")
        running.write(row)
        assert state(running) == "ok"
        assert running.log.knows(row.prediction_id) == row
    with database.transaction() as connection:
        assert connection.exec_driver_sql("SELECT mood FROM predictions").scalar_one() == "none"


def test_another_workers_answer_is_known(settings: LogSettings) -> None:
    row = make_row(created_at=1_770_000_000.25)
    with running_log(settings) as first, running_log(settings) as second:
        first.write(row)
        assert second.log.recent(row.prediction_id) is None
        assert second.log.knows(row.prediction_id) == row
        assert second.log.knows(new_id()) is None
        for strange in ("", "x", "é" * 32, "\ud800", "\0", "0" * 33):
            assert second.log.knows(strange) is None


def test_the_latest_answers_are_known_without_asking(settings: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_RECENT", 2)
    rows = make_rows(3)
    with running_log(settings) as running:
        running.write(*rows)
        assert [running.log.recent(row.prediction_id) for row in rows] == [None, *rows[1:]]


def test_feedback_is_kept_like_an_answer(settings: LogSettings, database: Database) -> None:
    row = make_row()
    with running_log(settings) as running:
        running.write(row)
        running.write(FeedbackRow(row.prediction_id, "sad"))
    assert stored(database, feedback) == [row.prediction_id]


def test_statistics_are_of_the_last_day_unless_told_otherwise(settings: LogSettings) -> None:
    now = datetime.now(UTC)
    rows = [make_row(created_at=(now - timedelta(hours=hours)).timestamp()) for hours in (1, 23, 25)]
    with running_log(settings) as running:
        running.write(*rows)
        log = running.log
        assert log.stats().total == 2
        assert log.stats(now - timedelta(days=2)).total == 3
        assert log.stats((now - timedelta(hours=24)).replace(tzinfo=None), now - timedelta(hours=2)).total == 1
        assert log.stats(datetime(1, 1, 1), datetime(1970, 6, 1)).since.year == 1970
        with pytest.raises(ConfigError, match="before until"):
            log.stats(now, now)


def test_off_keeps_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    row = make_row()
    with running_log(LogSettings(data_dir=tmp_path / "serving", log_durability="off")) as running:
        running.write(row)
        log = running.log
        assert (log.status().state, log.status().database) == ("ok", "off")
        assert log.recent(row.prediction_id) is None
        for ask in (log.stats, lambda: log.knows(row.prediction_id)):
            with pytest.raises(LogOff, match="LOG_DURABILITY=off"):
                ask()
    assert not (tmp_path / "serving").exists()


def test_only_the_row_that_the_database_refuses_fails(settings: LogSettings, database: Database) -> None:
    rows = [make_row(), make_row(brightness=None), make_row(width=2**70), make_row()]
    with running_log(settings) as running:
        results = running.write_each(rows)
        assert state(running) == "ok"
    assert [result is None for result in results] == [True, False, False, True]
    assert isinstance(results[1], LogUnavailable)
    assert stored(database) == ids([rows[0], rows[3]])


def test_a_named_sqlite_database_is_the_log_whatever_the_durability(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path / "unused", database_url=f"sqlite:///{tmp_path}/named.db")
    migrate(settings)
    for durability in ("local", "database"):
        with running_log(settings, log_durability=durability) as running:
            running.write(make_row())
            assert state(running) == "ok"
    assert len(stored(Database(settings.url))) == 2
    assert not (tmp_path / "unused").exists()


class TestBeforeAServer:
    """DATABASE_URL on PostgreSQL, which is down: rows wait on this machine."""

    @pytest.fixture
    def queued(self, tmp_path: Path) -> LogSettings:
        found = LogSettings(data_dir=tmp_path / "serving", database_url=DOWN, log_drain_seconds=0.05)
        migrate_local(found)
        return found

    def test_answers_go_on_and_the_state_says_so(self, queued: LogSettings) -> None:
        rows = make_rows(3, created_at=time.time() - 30)
        with running_log(queued) as running:
            running.write(*rows)
            wait_for(lambda: running.log.status().queue.rows == 3)
            status = running.log.status()
            assert (status.state, status.database) == ("degraded", "down")
            assert status.queue.bytes > 0
            assert 30 <= status.queue.age < 60
            assert "cannot be used" in str(status.error)
            assert running.log.knows(rows[0].prediction_id) == rows[0]
            with pytest.raises(LogUnavailable):
                running.log.knows(new_id())
            with pytest.raises(LogUnavailable):
                running.log.stats()
        assert stored(Database(queued.local_url)) == ids(rows)

    def test_rows_that_wait_too_long_are_told(self, queued: LogSettings) -> None:
        with running_log(queued) as running:
            running.write(make_row(created_at=time.time() - 100))
            wait_for(lambda: "has waited for the database for 10" in str(running.log.status().error))

    def test_refused_rows_are_told(self, queued: LogSettings) -> None:
        queue, row = Database(queued.local_url), make_row()
        store_rows(queue, [row])
        with queue.transaction() as connection:
            connection.exec_driver_sql(f"INSERT INTO refused VALUES ('{row.prediction_id}', 'x', 0)")
        with running_log(queued) as running:
            wait_for(lambda: running.log.status().queue.refused == 1)
            assert "PostgreSQL refused 1 row(s): see the table refused of" in str(running.log.status().error)

    def test_a_queue_at_its_limit_refuses(self, queued: LogSettings) -> None:
        with running_log(queued, log_queue_max_mb=0.1) as running:
            running.write(*make_rows(400))
            wait_for(lambda: running.log.status().queue.bytes > 100_000)
            with pytest.raises(LogUnavailable, match=r"its limit is reached.*LOG_QUEUE_MAX_MB"):
                running.write(make_row())
            time.sleep(0.1)
            assert state(running) == "failing"
            with Database(queued.local_url).transaction() as connection:
                connection.exec_driver_sql("DELETE FROM predictions")
            wait_for(lambda: state(running) == "degraded")
            running.write(make_row())

    def test_straight_into_the_server_refuses_while_it_is_down(self, queued: LogSettings) -> None:
        with running_log(queued, log_durability="database") as running:
            with pytest.raises(LogUnavailable, match="cannot be used"):
                running.write(make_row())
            status = running.log.status()
            assert (status.state, status.database) == ("failing", "down")

    def test_straight_into_the_server_needs_no_folder(self, tmp_path: Path) -> None:
        settings = LogSettings(data_dir=tmp_path / "none", database_url=DOWN, log_durability="database")
        with running_log(settings) as running:
            wait_for(lambda: state(running) == "failing")
        assert not (tmp_path / "none").exists()


def test_slow_questions_keep_no_row_from_being_written(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, asking = threading.Event(), []

    def slow(asked: Database, *_: Any) -> None:
        with asked.transaction():
            asking.append(1)
            gate.wait(20)

    monkeypatch.setattr(log_module, "stats", slow)
    row = make_row()
    with running_log(settings) as running:
        threads = [threading.Thread(target=running.log.stats) for _ in range(6)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(asking) == 6)
        running.write(row)
        assert stored(database) == [row.prediction_id]
        assert state(running) == "ok"
        gate.set()
        for thread in threads:
            thread.join()
