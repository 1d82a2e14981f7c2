"""The prediction log of a worker: what is acknowledged is kept, and its state says how it fares."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.prediction_rows import ids, make_row, make_rows, spooled, stored, wait_for, write_segment

from mlopsproject.core.errors import ConfigError
from mlopsproject.prediction_log import group_writer
from mlopsproject.prediction_log import log as log_module
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.errors import DatabaseDown, LogOff, LogUnavailable
from mlopsproject.prediction_log.log import PredictionLog
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.rows import FeedbackRow, new_id
from mlopsproject.prediction_log.segments import list_segments
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.spool import Spool
from mlopsproject.prediction_log.tables import feedback


@contextmanager
def opened(settings: LogSettings, **changes: Any) -> Iterator[PredictionLog]:
    log = PredictionLog.open(settings.model_copy(update=changes))
    yield log
    log.close(5)


def write(log: PredictionLog, *rows: Any) -> None:
    asyncio.run(log.write(rows))


def full(*_: Any) -> None:
    raise LogUnavailable("No space left.", "Free some.")


@pytest.fixture(autouse=True)
def _probes_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writer, "_PROBE_SECONDS", 0.02)


def test_rows_are_on_the_disk_when_write_returns_and_in_the_database_soon_after(
    settings: LogSettings, database: Database
) -> None:
    rows = make_rows(3)
    with opened(settings, log_drain_seconds=60) as log:
        wait_for(lambda: log.status().database == "ok")
        write(log, *rows)
        assert ids(spooled(settings.spool_dir)) == ids(rows)
        assert stored(database) == []
    assert stored(database) == ids(rows)
    assert list_segments(settings.spool_dir) == []


def test_many_requests_at_once_are_all_kept(settings: LogSettings, database: Database) -> None:
    rows = make_rows(200)

    async def send(log: PredictionLog) -> None:
        await asyncio.gather(*(log.write([row]) for row in rows))

    with opened(settings) as log:
        asyncio.run(send(log))
    assert stored(database) == ids(rows)


def test_submit_calls_back_from_another_thread(settings: LogSettings) -> None:
    told: list[tuple[Exception | None, str]] = []
    with opened(settings) as log:
        log.submit([make_row()], lambda error: told.append((error, threading.current_thread().name)))
        wait_for(lambda: told)
        log.submit([], lambda error: told.append((error, "now")))
    assert told == [(None, "prediction-log-writer"), (None, "now")]


def test_a_caller_that_gives_up_does_no_harm(settings: LogSettings, database: Database) -> None:
    rows = make_rows(2)

    async def give_up(log: PredictionLog) -> None:
        task = asyncio.create_task(log.write(rows[:1]))
        await asyncio.sleep(0)
        task.cancel()
        await log.write(rows[1:])

    with opened(settings) as log:
        asyncio.run(give_up(log))
    assert stored(database) == ids(rows)


def test_what_cannot_be_kept_is_refused_until_it_can(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(2)
    with opened(settings) as log:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "keep", full)
            patch.setattr(Spool, "probe", full)
            for _ in range(2):
                with pytest.raises(LogUnavailable, match=r"No space left\. Free some\."):
                    write(log, rows[0])
            status = log.status()
            assert (status.state, status.dropped_rows) == ("failing", 0)
            assert "No space left" in str(status.error)
        wait_for(lambda: log.status().state == "ok")
        write(log, rows[1])
    assert stored(database) == ids(rows[1:])


def test_each_refused_caller_gets_an_error_of_its_own(settings: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spool, "keep", full)

    async def send(log: PredictionLog) -> list[Any]:
        return await asyncio.gather(*(log.write([make_row()]) for _ in range(3)), return_exceptions=True)

    with opened(settings) as log:
        errors = asyncio.run(send(log))
    assert [type(error) for error in errors] == [LogUnavailable] * 3
    assert len({id(error) for error in errors}) == 3


def test_where_answers_matter_more_rows_are_dropped_and_counted(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(3)
    with opened(settings, log_when_full="answer") as log:
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "keep", full)
            patch.setattr(Spool, "probe", full)
            write(log, *rows[:2])
            assert (log.status().state, log.status().dropped_rows) == ("failing", 2)
        wait_for(lambda: log.status().state == "ok")
        write(log, rows[2])
        assert log.status().dropped_rows == 2
    assert stored(database) == ids(rows[2:])


@pytest.mark.parametrize("policy", ["refuse", "answer"])
def test_a_disk_that_says_nothing_keeps_nobody_waiting_for_ever(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    gate, keep, rows = threading.Event(), Spool.keep, make_rows(2)
    monkeypatch.setattr(Spool, "keep", lambda spool, group: gate.wait(10) and keep(spool, group))
    with opened(settings, log_when_full=policy) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log_module, "_WRITE_TIMEOUT", 0.1)
            if policy == "answer":
                write(log, rows[0])
            else:
                with pytest.raises(LogUnavailable, match=r"The disk .* has not answered for 0\.1 s"):
                    write(log, rows[0])
            wait_for(lambda: log.status().state == "failing")
        gate.set()
        wait_for(lambda: log.status().state == "ok")
        write(log, rows[1])
    assert stored(database) == ids(rows)


def test_without_a_database_answers_go_on_and_the_state_says_so(tmp_path: Path) -> None:
    settings = LogSettings(data_dir=tmp_path, log_drain_seconds=0.05)
    rows = make_rows(3, created_at=time.time() - 30)
    with opened(settings) as log:
        write(log, *rows)
        wait_for(lambda: log.status().database == "not_migrated")
        status = log.status()
        assert status.state == "degraded"
        assert status.pending_rows > 0
        assert status.spool_bytes == sum(segment.size for segment in list_segments(settings.spool_dir))
        assert 30 <= status.oldest_seconds < 60
        assert "python -m mlopsproject.log_migrate" in str(status.error)
        migrate(settings)
        wait_for(lambda: log.status().state == "ok")
        wait_for(lambda: log.status().pending_rows == log.status().spool_bytes == log.status().oldest_seconds == 0)
    assert stored(Database(settings.url)) == ids(rows)


def test_the_number_of_rows_that_wait_is_estimated_from_their_bytes(settings: LogSettings) -> None:
    write_segment(settings.spool_dir, make_rows(10, model_version="long" * 500))
    with opened(settings, log_drain_seconds=60) as log:
        wait_for(lambda: log.status().database == "ok" and log.status().pending_rows == 0)
        write(log, *make_rows(40, model_version="long" * 500))
        assert 39 <= log.status().pending_rows <= 41


def test_rows_that_wait_too_long_are_a_degraded_state(settings: LogSettings) -> None:
    with opened(settings, log_drain_seconds=60) as log:
        wait_for(lambda: log.status().state == "ok")
        write(log, make_row(created_at=time.time() - 100))
        status = log.status()
        assert status.state == "degraded"
        assert "has waited for the database for 100 s" in str(status.error)


def test_quarantined_rows_are_a_degraded_state(settings: LogSettings) -> None:
    with opened(settings) as log:
        write(log, make_row(brightness=None), make_row())
        wait_for(lambda: log.status().quarantined_rows == 1)
        wait_for(lambda: log.status().database == "ok")
        assert log.status().state == "degraded"
        assert str(settings.spool_dir / "quarantine") in str(log.status().error)
        for path in (settings.spool_dir / "quarantine").iterdir():
            path.unlink()
        wait_for(lambda: log.status().state == "ok")


def test_an_answer_is_known_wherever_it_is(settings: LogSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_RECENT", 1)
    in_database, in_spool, recent = rows = [make_row(created_at=float(second)) for second in range(3)]
    write_segment(settings.spool_dir, rows[:1])
    with opened(settings, log_drain_seconds=60) as log:
        wait_for(lambda: not list_segments(settings.spool_dir))
        write(log, in_spool, recent)
        assert list(log._recent) == [recent.prediction_id]
        assert [log.knows(row.prediction_id) for row in (in_database, in_spool, recent)] == rows
        assert log.knows(new_id()) is None
        for strange in ("", "x", "é" * 32, "\ud800", "\0", "0" * 33):
            assert log.knows(strange) is None


def test_another_workers_answer_is_known_before_it_is_drained(tmp_path: Path) -> None:
    settings, row = LogSettings(data_dir=tmp_path, log_drain_seconds=60), make_row()
    with opened(settings) as first, opened(settings) as second:
        write(first, row)
        assert second.knows(row.prediction_id) == row
        with pytest.raises(LogUnavailable, match="There is no database"):
            second.knows(new_id())


def test_feedback_is_kept_like_an_answer(settings: LogSettings, database: Database) -> None:
    row = make_row()
    with opened(settings) as log:
        write(log, row)
        write(log, FeedbackRow(row.prediction_id, "sad"))
    assert stored(database, feedback) == [row.prediction_id]


def test_statistics_are_of_the_last_day_unless_told_otherwise(settings: LogSettings) -> None:
    now = datetime.now(UTC)
    rows = [make_row(created_at=(now - timedelta(hours=hours)).timestamp()) for hours in (1, 23, 25)]
    with opened(settings) as log:
        write(log, *rows)
        wait_for(lambda: log.status().pending_rows == 0)
        assert log.stats().total == 2
        assert log.stats(now - timedelta(days=2)).total == 3
        assert log.stats((now - timedelta(hours=24)).replace(tzinfo=None), now - timedelta(hours=2)).total == 1
        assert log.stats(datetime(1, 1, 1, tzinfo=UTC)).since.year == 1970
        with pytest.raises(ConfigError, match="is not before"):
            log.stats(now, now)


def test_off_keeps_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    row = make_row()
    with opened(LogSettings(data_dir=tmp_path / "serving", log_durability="off")) as log:
        write(log, row)
        assert (log.status().state, log.status().database) == ("ok", "off")
        assert log.recent(row.prediction_id) is None
        for ask in (log.stats, lambda: log.knows(row.prediction_id)):
            with pytest.raises(LogOff, match="LOG_DURABILITY=off"):
                ask()
    assert not (tmp_path / "serving").exists()


class TestStraightIntoTheDatabase:
    """LOG_DURABILITY=database."""

    @pytest.fixture
    def straight(self, settings: LogSettings) -> LogSettings:
        return settings.model_copy(update={"log_durability": "database"})

    def test_rows_are_in_the_database_when_write_returns(self, straight: LogSettings, database: Database) -> None:
        rows = make_rows(3)
        with opened(straight) as log:
            write(log, *rows)
            assert stored(database) == ids(rows)
            assert not straight.spool_dir.exists()
            wait_for(lambda: log.status().state == "ok")

    def test_a_database_that_is_down_refuses_rows_until_it_is_back(
        self, straight: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any) -> None:
            raise DatabaseDown("The database does not answer.")

        row = make_row()
        with opened(straight) as log:
            with monkeypatch.context() as patch:
                patch.setattr(Database, "insert", down)
                patch.setattr(Database, "check", down)
                with pytest.raises(LogUnavailable, match="does not answer"):
                    write(log, make_row())
                assert log.status().state == "failing"
            wait_for(lambda: log.status().state == "ok")
            write(log, row)
        assert stored(database) == [row.prediction_id]

    def test_only_the_row_that_the_database_refuses_fails(self, straight: LogSettings, database: Database) -> None:
        rows = [make_row(), make_row(brightness=None), make_row()]

        async def send(log: PredictionLog) -> list[Any]:
            return await asyncio.gather(*(log.write([row]) for row in rows), return_exceptions=True)

        with opened(straight) as log:
            results = asyncio.run(send(log))
            assert log.status().state != "failing"
        assert [result is None for result in results] == [True, False, True]
        assert isinstance(results[1], LogUnavailable)
        assert stored(database) == ids([rows[0], rows[2]])

    def test_what_an_earlier_run_spooled_is_drained(self, straight: LogSettings, database: Database) -> None:
        rows = make_rows(3)
        write_segment(straight.spool_dir, rows)
        with opened(straight) as first, opened(straight) as second:
            wait_for(lambda: stored(database) == ids(rows))
            wait_for(lambda: (first.status().state, second.status().state) == ("ok", "ok"))


@pytest.mark.parametrize("durability", ["spool", "database"])
def test_slow_questions_keep_no_row_from_being_written(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    gate, asking = threading.Event(), []

    def slow(asked: Database, *_: Any) -> None:
        with asked.transaction():
            asking.append(1)
            gate.wait(20)

    monkeypatch.setattr(log_module, "stats", slow)
    row = make_row()
    with opened(settings, log_durability=durability) as log:
        threads = [threading.Thread(target=log.stats) for _ in range(6)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(asking) == 6)
        write(log, row)
        wait_for(lambda: stored(database) == [row.prediction_id], 4)
        assert log.status().state == "ok"
        gate.set()
        for thread in threads:
            thread.join()
