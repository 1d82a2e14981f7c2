"""The drainer moves every row from the queue to the server once, in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.prediction_rows import ids, make_row, make_rows, store_rows, stored, wait_for

from mlopsproject.prediction_log import drainer as drainer_module
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import Drainer, QueueState
from mlopsproject.prediction_log.errors import DatabaseDown
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.rows import FeedbackRow
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import VERSION_TABLE, feedback, refused


def make_drainer(queue: Database, server: Database, **changes: Any) -> Drainer:
    return Drainer(queue, server, **{"batch_rows": 10, "pause": 0.02, **changes})


def drain(drainer: Drainer) -> QueueState:
    """Move all that can be moved."""
    drainer._measured_at = float("-inf")
    moved, state = drainer.round()
    while moved:
        drainer._measured_at = float("-inf")
        moved, state = drainer.round()
    return state


@pytest.fixture
def drainer(database: Database, server: Database) -> Iterator[Drainer]:
    """Moves 10 rows at a time, when it is told to."""
    made = make_drainer(database, server)
    yield made
    made._lock.release()


def down(*_: Any) -> None:
    raise DatabaseDown("The database does not answer.")


def test_rows_arrive_in_order_and_are_deleted_from_the_queue(
    drainer: Drainer, database: Database, server: Database
) -> None:
    rows = make_rows(35)
    store_rows(database, rows)
    state = drain(drainer)
    assert stored(server) == ids(rows)
    assert stored(database) == []
    assert (state.database, state.error, state.rows, state.oldest, state.refused) == ("ok", None, 0, None, 0)


def test_feedback_is_moved_before_and_without_its_prediction(
    drainer: Drainer, database: Database, server: Database
) -> None:
    row = make_row()
    store_rows(database, [FeedbackRow(row.prediction_id, "sad"), FeedbackRow("0" * 32, "happy")])
    drain(drainer)
    store_rows(database, [row])
    drain(drainer)
    assert stored(server, feedback) == [row.prediction_id, "0" * 32]
    assert stored(server) == [row.prediction_id]


def test_the_state_says_how_much_waits_and_since_when(
    drainer: Drainer, database: Database, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_rows(database, [make_row(created_at=float(second)) for second in (50, 60, 10, 70)])
    store_rows(database, [FeedbackRow("0" * 32, "happy", created_at=5.0)])
    monkeypatch.setattr(server, "check", down)
    state = drain(drainer)
    assert (state.database, state.error, state.rows, state.oldest) == ("down", "The database does not answer.", 5, 5.0)
    assert 4096 <= state.bytes <= Path(str(database.url.database)).stat().st_size + 2**20


def test_a_row_that_the_server_refuses_stays_and_stops_nobody(
    drainer: Drainer, database: Database, server: Database
) -> None:
    rows = make_rows(30)
    with server.transaction() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER picky BEFORE INSERT ON predictions WHEN new.predicted = 'odd' "
            "BEGIN SELECT RAISE(ABORT, 'no odd rows'); END"
        )
    odd = {3, 4, 17}
    rows = [replace(row, predicted="odd") if number in odd else row for number, row in enumerate(rows)]
    store_rows(database, rows)
    state = drain(drainer)
    assert stored(server) == [row.prediction_id for number, row in enumerate(rows) if number not in odd]
    assert (
        stored(database)
        == stored(database, refused, "row_id")
        == [rows[number].prediction_id for number in sorted(odd)]
    )
    assert (state.database, state.rows, state.refused, state.oldest) == ("ok", 0, 3, None)
    assert "no odd rows" in stored(database, refused, "reason")[0]


def test_a_refused_row_is_tried_again_once_it_is_no_longer_called_so(
    drainer: Drainer, database: Database, server: Database
) -> None:
    (row,) = rows = make_rows(1)
    store_rows(database, rows)
    with database.transaction() as connection:
        connection.execute(refused.insert(), {"row_id": row.prediction_id, "reason": "x", "refused_at": time.time()})
    assert drain(drainer).refused == 1
    assert stored(server) == []
    with database.transaction() as connection:
        connection.execute(refused.delete())
    assert drain(drainer).refused == 0
    assert stored(server) == ids(rows)


def test_a_crash_between_the_two_commits_loses_nothing_and_doubles_nothing(
    database: Database, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    def insert_and_die(records: Any) -> None:
        insert(records)
        raise Killed

    rows, insert = make_rows(25), server.insert
    store_rows(database, rows)
    first, second = make_drainer(database, server), make_drainer(database, server)
    with monkeypatch.context() as patch:
        patch.setattr(server, "insert", insert_and_die)
        with pytest.raises(Killed):
            first.round()
    first._lock.release()
    assert (len(stored(database)), len(stored(server))) == (25, 10)
    drain(second)
    assert stored(server) == ids(rows)
    assert stored(database) == []


def test_one_process_drains_at_a_time_and_another_takes_over(database: Database, server: Database) -> None:
    first, second = make_drainer(database, server), make_drainer(database, server)
    first.round()
    store_rows(database, make_rows(3))
    assert second.round()[0] == 0
    assert second.round()[1].rows == 3
    first._lock.release()
    assert second.round()[0] == 3


def test_the_lock_of_a_killed_process_is_free(database: Database, server: Database) -> None:
    drainer = make_drainer(database, server)
    code = (
        "import sys, time; from filelock import FileLock\n"
        "lock = FileLock(sys.argv[1]); lock.acquire(); print(lock.is_locked, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, drainer._lock.lock_file], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        store_rows(database, make_rows(3))
        assert drainer.round()[0] == 0
    finally:
        holder.kill()
        holder.wait()
    assert drainer.round()[0] == 3
    drainer._lock.release()


def test_rows_wait_for_a_server_that_is_down_and_follow_in_order(
    database: Database, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(30)

    async def run() -> None:
        running = make_drainer(database, server)
        running.start()
        with monkeypatch.context() as patch:
            patch.setattr(server, "check", down)
            store_rows(database, rows)
            await asyncio.to_thread(wait_for, lambda: running.state.error == "The database does not answer.")
            assert running.state.database == "down"
        await asyncio.to_thread(wait_for, lambda: stored(server) == ids(rows))
        await asyncio.to_thread(wait_for, lambda: (running.state.database, running.state.rows) == ("ok", 0))
        await running.close(5)

    asyncio.run(run())


def test_tries_become_rarer_while_the_server_is_down(
    database: Database, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    real = asyncio.timeout

    def noted(seconds: float) -> Any:
        pauses.append(seconds)
        if len(pauses) == 6:
            monkeypatch.setattr(server, "check", check)
        return real(0)

    check = server.check
    monkeypatch.setattr(server, "check", down)
    monkeypatch.setattr(drainer_module.asyncio, "timeout", noted)

    async def run() -> None:
        running = Drainer(database, server, batch_rows=10, pause=1.5)
        running.start()
        while len(pauses) < 8:
            await asyncio.sleep(0.001)
        assert running._task is not None
        running._task.cancel()

    asyncio.run(run())
    assert pauses[:7] == [3, 6, 10, 10, 10, 10, 1.5]


def test_a_server_without_tables_is_waited_for(database: Database, tmp_path: Path) -> None:
    elsewhere = LogSettings(data_dir=tmp_path / "elsewhere")
    server = Database(elsewhere.url)
    drainer, rows = make_drainer(database, server), make_rows(2)
    store_rows(database, rows)
    state = drain(drainer)
    assert state.database == "not_migrated"
    assert "python -m mlopsproject.log_migrate" in str(state.error)
    migrate(elsewhere)
    assert drain(drainer).database == "ok"
    assert stored(server) == ids(rows)
    with server.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE predictions")
    store_rows(database, make_rows(1))
    state = drain(drainer)
    assert "lacks the log's tables" in str(state.error)
    assert state.rows == 1


def test_closing_drains_once_more(database: Database, server: Database) -> None:
    rows = make_rows(25)

    async def run() -> None:
        running = make_drainer(database, server, pause=60)
        running.start()
        await asyncio.to_thread(wait_for, lambda: running.state.database == "ok")
        store_rows(database, rows)
        await running.close(5)

    asyncio.run(run())
    assert stored(server) == ids(rows)
    assert make_drainer(database, server)._lock.acquire()


def test_a_bug_does_not_end_the_task(database: Database, server: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("division by zero")

    drainer, rows = make_drainer(database, server), make_rows(2)
    store_rows(database, rows)
    with monkeypatch.context() as patch:
        patch.setattr(server, "insert", broken)
        moved, state = drainer.round()
        assert (moved, state.rows) == (0, 2)
        assert "division by zero" in str(state.error)
    drain(drainer)
    assert stored(server) == ids(rows)


def test_memory_holds_a_batch_however_long_the_queue_is(
    drainer: Drainer, database: Database, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    insert: Callable[..., None] = server.insert
    monkeypatch.setattr(server, "insert", lambda records: sizes.append(len(records)) or insert(records))
    store_rows(database, make_rows(95))
    drain(drainer)
    assert max(sizes) == 10
    assert sum(sizes) == 95


def test_a_queue_that_a_newer_version_has_used_is_left_to_it(
    drainer: Drainer, database: Database, server: Database
) -> None:
    rows = make_rows(2)
    drain(drainer)
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE predictions ADD COLUMN mood TEXT DEFAULT 'none'")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    # This version's rows are kept, and wait.
    store_rows(database, rows)
    state = drain(drainer)
    assert (stored(server), state.rows, state.database) == ([], 2, "ok")
    assert "newer version" in str(state.error)
    other = make_drainer(database, server)
    assert other._lock.acquire()


def test_a_queue_that_cannot_be_read_is_an_error_of_the_state(database: Database, server: Database) -> None:
    path = Path(str(database.url.database))
    database.close()
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        name.unlink(missing_ok=True)
    state = drain(make_drainer(database, server))
    assert "There is no database" in str(state.error)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (number INTEGER)")
    assert "lacks the log's tables" in str(drain(make_drainer(database, server)).error)
