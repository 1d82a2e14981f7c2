"""The drainer moves every row into the database once, in order, whatever happens in between."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.prediction_rows import ids, make_row, make_rows, stored, wait_for, write_segment

from mlopsproject.prediction_log import drainer as drainer_module
from mlopsproject.prediction_log import rows as rows_module
from mlopsproject.prediction_log.backlog import Backlog
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drain_state import FILE, DrainState, SharedState
from mlopsproject.prediction_log.drainer import Drainer, FolderLock
from mlopsproject.prediction_log.errors import DatabaseDown, NotMigrated
from mlopsproject.prediction_log.lines import to_line
from mlopsproject.prediction_log.quarantine import Quarantine
from mlopsproject.prediction_log.rows import FeedbackRow, to_document
from mlopsproject.prediction_log.segment_reader import find_prediction
from mlopsproject.prediction_log.segments import SegmentWriter, list_segments
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import feedback, predictions


@pytest.fixture
def spool(settings: LogSettings) -> Path:
    return settings.spool_dir


def make_drainer(settings: LogSettings, database: Database) -> Drainer:
    return Drainer(settings.spool_dir, database, batch_rows=10, pause=0.02)


def quarantined(spool: Path) -> list[bytes]:
    return [line for path in sorted((spool / "quarantine").glob("*")) for line in path.read_bytes().splitlines()]


def test_rows_arrive_in_order_and_drained_segments_are_deleted(
    drainer: Drainer, database: Database, spool: Path
) -> None:
    rows = make_rows(35)
    write_segment(spool, rows[:25], worker="a", number=1)
    write_segment(spool, rows[25:], worker="a", number=2)
    drainer.drain()
    assert stored(database) == ids(rows)
    assert list_segments(spool) == []
    state = drainer.state()
    assert (state.database, state.error, state.positions, state.rows) == ("ok", None, {}, 35)


def test_all_workers_are_drained_in_turns(drainer: Drainer, database: Database, spool: Path) -> None:
    first, second = make_rows(25), make_rows(25)
    write_segment(spool, first, worker="a")
    write_segment(spool, second, worker="b")
    drainer.drain()
    found = stored(database)
    assert [name for name in found if name in ids(first)] == ids(first)
    assert [name for name in found if name in ids(second)] == ids(second)
    assert found[:20] == ids(first[:10] + second[:10])


def test_a_segment_in_use_is_drained_up_to_its_last_whole_row_and_stays(
    drainer: Drainer, database: Database, spool: Path
) -> None:
    rows = make_rows(3)
    writer = SegmentWriter.create(spool, "a", 1)
    writer.append(to_line(rows[0]))
    with writer.path.open("ab") as other:
        other.write(to_line(rows[1])[:50])
    drainer.drain()
    assert stored(database) == ids(rows[:1])
    with writer.path.open("ab") as other:
        other.write(to_line(rows[1])[50:])
    writer.append(to_line(rows[2]))
    drainer.drain()
    assert stored(database) == ids(rows)
    assert writer.path.exists()
    writer.close()
    drainer.drain()
    assert not writer.path.exists()


def test_a_killed_workers_torn_tail_is_dropped_without_a_word_in_the_state(
    drainer: Drainer, database: Database, spool: Path
) -> None:
    rows = make_rows(2)
    path = write_segment(spool, rows)
    with path.open("ab") as stream:
        stream.write(to_line(make_row())[:-1])
    drainer.drain()
    assert stored(database) == ids(rows)
    assert list_segments(spool) == []
    assert Quarantine(spool).count() == 0


def test_a_failed_write_that_was_cut_off_again_costs_no_row(drainer: Drainer, database: Database, spool: Path) -> None:
    rows = make_rows(2)
    writer = SegmentWriter.create(spool, "a", 1)
    writer.append(to_line(rows[0]))
    with writer.path.open("ab") as other:
        other.write(to_line(make_row()) * 3)
    drainer.drain()
    writer._abandon()
    write_segment(spool, rows[1:], worker="a", number=2)
    drainer.drain()
    assert stored(database)[-1] == rows[1].prediction_id
    assert list_segments(spool) == []


def test_a_damaged_row_goes_to_quarantine_and_the_others_on(drainer: Drainer, database: Database, spool: Path) -> None:
    rows = make_rows(3)
    path = write_segment(spool, rows)
    content = bytearray(path.read_bytes())
    content[len(to_line(rows[0])) + 100] ^= 1
    path.write_bytes(content)
    drainer.drain()
    assert stored(database) == ids([rows[0], rows[2]])
    assert quarantined(spool) == [bytes(content).splitlines()[1]]
    assert Quarantine(spool).count() == 1


def test_a_row_that_the_database_refuses_stops_nobody(drainer: Drainer, database: Database, spool: Path) -> None:
    rows = make_rows(30)
    poison = {3: {"brightness": None}, 4: {"width": 2**70}, 17: {"latency_ms": float("nan")}}
    rows = [replace(row, **poison.get(number, {})) for number, row in enumerate(rows)]
    write_segment(spool, rows)
    drainer.drain()
    assert stored(database) == [row.prediction_id for number, row in enumerate(rows) if number not in poison]
    assert quarantined(spool) == [to_line(rows[number])[:-1] for number in poison]
    assert list_segments(spool) == []
    assert drainer.state().database == "ok"


def test_a_row_of_another_version_goes_to_quarantine(drainer: Drainer, database: Database, spool: Path) -> None:
    row = make_row()
    body = to_line(row)[9:-1].replace(b'"kind":"prediction"', b'"kind":"thought"')
    path = write_segment(spool, [row])
    with path.open("ab") as stream:
        stream.write(b"%08x %b\n" % (zlib.crc32(body), body))
    drainer.drain()
    assert stored(database) == [row.prediction_id]
    assert Quarantine(spool).count() == 1


def test_a_quarantine_file_that_is_moved_back_is_drained(drainer: Drainer, database: Database, spool: Path) -> None:
    row = make_row()
    write_segment(spool, [row, replace(row, prediction_id="f" * 32, contrast=None)])
    drainer.drain()
    with database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM predictions")
    (file,) = (spool / "quarantine").iterdir()
    file.write_bytes(to_line(row))
    file.rename(spool / file.name)
    drainer.drain()
    assert stored(database) == [row.prediction_id]
    assert Quarantine(spool).count() == 0


@pytest.mark.parametrize("step", ["saved", "deleted"])
def test_a_crash_between_commit_and_position_loses_nothing_and_doubles_nothing(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    rows = make_rows(25)
    rows[7] = replace(rows[7], sharpness=None)
    path = write_segment(settings.spool_dir, rows)
    content = path.read_bytes()
    target = {"saved": (DrainState, "save"), "deleted": (Path, "unlink")}[step]
    first = make_drainer(settings, database)
    assert first.take()
    with monkeypatch.context() as patch:
        patch.setattr(*target, killed)
        with pytest.raises(Killed):
            first.drain()
    first.release()
    assert path.read_bytes() == content
    second = make_drainer(settings, database)
    assert second.take()
    second.drain()
    second.release()
    assert stored(database) == ids([*rows[:7], *rows[8:]])
    assert Quarantine(settings.spool_dir).count() == 1
    assert list_segments(settings.spool_dir) == []


def test_feedback_is_kept_before_and_without_its_prediction(drainer: Drainer, database: Database, spool: Path) -> None:
    row = make_row()
    write_segment(spool, [FeedbackRow(row.prediction_id, "sad"), FeedbackRow("0" * 32, "happy")], worker="a")
    write_segment(spool, [row], worker="b")
    drainer.drain()
    assert stored(database, feedback) == [row.prediction_id, "0" * 32]
    assert stored(database) == [row.prediction_id]


def test_one_process_drains_at_a_time_and_another_takes_over(settings: LogSettings, database: Database) -> None:
    first, second = make_drainer(settings, database), make_drainer(settings, database)
    assert first.take()
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()
    second.release()


def test_the_lock_of_a_killed_process_is_free(settings: LogSettings, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mlopsproject.prediction_log.drainer import FolderLock\n"
        "print(FolderLock(Path(sys.argv[1])).take(), flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        lock = FolderLock(tmp_path)
        assert not lock.take()
    finally:
        holder.kill()
        holder.wait()
    assert lock.take()
    lock.release()


def test_a_lock_in_a_deleted_folder_is_taken_anew(tmp_path: Path) -> None:
    lock, other = FolderLock(tmp_path / "spool"), FolderLock(tmp_path / "spool")
    assert lock.take()
    for path in (tmp_path / "spool").iterdir():
        path.unlink()
    (tmp_path / "spool").rmdir()
    assert lock.take()
    assert not other.take()
    lock.release()


def test_rows_wait_for_a_database_that_is_down_and_follow_in_order(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> None:
        raise DatabaseDown("The database does not answer.")

    rows = make_rows(30)
    running = make_drainer(settings, database)
    with monkeypatch.context() as patch:
        patch.setattr(database, "check", down)
        write_segment(settings.spool_dir, rows, worker="a")
        running.start()
        wait_for(lambda: running.state().error == "The database does not answer.")
        assert running.state().database == "down"
        write_segment(settings.spool_dir, make_rows(5), worker="b")
    wait_for(lambda: len(stored(database)) == 35)
    assert [name for name in stored(database) if name in ids(rows)] == ids(rows)
    wait_for(lambda: (running.state().database, running.state().error) == ("ok", None))
    running.close(5)


def test_a_database_that_is_back_is_said_to_be_before_all_that_piled_up_is_moved(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_segment(settings.spool_dir, make_rows(25), worker="a")
    drainer = make_drainer(settings, database)
    assert drainer.take()
    assert drainer.state().database == "down"
    seen: list[tuple[str, str | None]] = []
    insert: Callable[..., None] = database.insert

    def noted(*args: Any) -> None:
        seen.append((drainer.state().database, drainer.state().error))
        insert(*args)

    monkeypatch.setattr(database, "insert", noted)
    drainer.drain()
    assert seen == [("ok", None)] * 3


def test_tries_become_rarer_while_the_database_is_down(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    made = Drainer(settings.spool_dir, database, batch_rows=10, pause=1.5)
    monkeypatch.setattr(made, "_round", lambda: len(pauses) in (0, 7))
    monkeypatch.setattr(made._stop, "wait", lambda pause: pauses.append(pause) or len(pauses) == 9)
    made._run()
    assert pauses == [1.5, 3, 6, 10, 10, 10, 10, 1.5, 3]


def test_a_database_without_tables_is_waited_for(tmp_path: Path) -> None:
    from mlopsproject.prediction_log.migrate import migrate

    settings, row = LogSettings(data_dir=tmp_path), make_row()
    database = Database(settings.url)
    running = make_drainer(settings, database)
    write_segment(settings.spool_dir, [row])
    running.start()
    wait_for(lambda: running.state().database == "not_migrated")
    assert "python -m mlopsproject.log_migrate" in str(running.state().error)
    assert not Path(str(settings.url.database)).exists()
    migrate(settings)
    wait_for(lambda: running.state().database == "ok")
    running.close(5)
    assert stored(database) == [row.prediction_id]


def test_tables_that_disappear_are_noticed(drainer: Drainer, database: Database, spool: Path) -> None:
    drainer.drain()
    with database.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE predictions")
    write_segment(spool, [make_row()])
    with pytest.raises(NotMigrated, match="lacks the log's tables"):
        drainer.drain()
    assert len(list_segments(spool)) == 1


def test_closing_drains_once_more(settings: LogSettings, database: Database) -> None:
    running = Drainer(settings.spool_dir, database, batch_rows=10, pause=60)
    running.start()
    wait_for(lambda: running.state().database == "ok")
    rows = make_rows(25)
    write_segment(settings.spool_dir, rows)
    running.close(5)
    assert stored(database) == ids(rows)
    assert FolderLock(settings.spool_dir).take()


def test_other_workers_read_the_drainers_state_and_live_without_a_readable_one(
    settings: LogSettings, database: Database, drainer: Drainer
) -> None:
    other = make_drainer(settings, database)
    other.start()
    wait_for(lambda: not other._is_mine)
    write_segment(settings.spool_dir, make_rows(3))
    drainer.drain()
    assert (other.state().database, other.state().rows) == ("ok", 3)
    (settings.spool_dir / FILE).write_text("{")
    assert SharedState(settings.spool_dir).get() == DrainState()
    other.close(5)


def test_a_full_disk_does_not_keep_rows_from_the_database(
    drainer: Drainer, database: Database, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    rows = make_rows(3)
    write_segment(spool, rows)
    monkeypatch.setattr(Path, "write_text", full)
    drainer.drain()
    assert stored(database) == ids(rows)


def test_a_folder_that_cannot_be_used_is_an_error_of_the_state(tmp_path: Path, database: Database) -> None:
    (tmp_path / "file").touch()
    running = Drainer(tmp_path / "file" / "spool", database, batch_rows=10, pause=0.02)
    running.start()
    wait_for(lambda: "cannot be drained" in str(running.state().error))
    running.close(5)


def test_a_bug_does_not_end_the_thread(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    running, rows = make_drainer(settings, database), make_rows(2)
    with monkeypatch.context() as patch:
        patch.setattr(drainer_module, "read_batch", broken)
        write_segment(settings.spool_dir, rows)
        running.start()
        wait_for(lambda: "division by zero" in str(running.state().error))
    wait_for(lambda: stored(database) == ids(rows))
    running.close(5)


def test_the_backlog_is_what_is_not_drained_and_as_old_as_its_oldest_row(tmp_path: Path) -> None:
    rows = [make_row(created_at=float(second)) for second in (50, 60, 10, 70)]
    first = write_segment(tmp_path, rows[:2], worker="a", number=1)
    write_segment(tmp_path, rows[2:3], worker="a", number=2)
    second = write_segment(tmp_path, rows[3:], worker="b")
    lengths = [len(to_line(row)) for row in rows]
    backlog = Backlog(tmp_path)
    # Rows of one worker are in order: its first segment tells.
    assert backlog.measure({}) == (sum(lengths), 50)
    assert backlog.measure({first.name: lengths[0]}) == (sum(lengths[1:]), 60)
    assert backlog.measure({first.name: sum(lengths[:2])}) == (sum(lengths[2:]), 10)
    assert Backlog(tmp_path / "nowhere").measure({}) == (0, None)
    first.unlink()
    assert backlog.measure({second.name: lengths[3]}) == (lengths[2], 10)


def test_memory_holds_a_batch_however_long_the_spool_is(
    drainer: Drainer, database: Database, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    insert: Callable[..., None] = database.insert
    monkeypatch.setattr(database, "insert", lambda records, pacer: sizes.append(len(records)) or insert(records, pacer))
    write_segment(spool, make_rows(95))
    drainer.drain()
    assert max(sizes) == 10
    assert sum(sizes) == 95


def as_version(row: Any, version: Any, **changes: Any) -> bytes:
    """A row's line as another version of the program writes it; a field that is `...` is left out."""
    document = {**to_document(row), "version": version, **changes}
    body = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
    return b"%08x %b\n" % (zlib.crc32(body), body)


def put(spool: Path, *lines: bytes) -> Path:
    path = write_segment(spool, [make_row()], worker="a")
    path.write_bytes(b"".join(lines))
    return path


def test_rows_of_an_older_version_get_defaults(
    drainer: Drainer, database: Database, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "VERSION", 3)
    monkeypatch.setitem(rows_module.DEFAULTS, "prediction", {"sharpness": 0.25})
    row = make_row()
    put(spool, as_version(row, 2, sharpness=..., dropped_field=1), as_version(make_row(), ..., contrast=...))
    drainer.drain()
    with database.transaction() as connection:
        found = connection.execute(select(predictions.c.prediction_id, predictions.c.sharpness)).all()
    assert found == [(row.prediction_id, 0.25)]
    assert Quarantine(spool).count() == 1


def test_rows_of_a_newer_version_wait_and_all_others_go_on(drainer: Drainer, database: Database, spool: Path) -> None:
    before, newer, other = make_row(), make_row(), make_row()
    path = put(spool, to_line(before), as_version(newer, 2, mood="new"), to_line(make_row()))
    write_segment(spool, [other], worker="b")
    for _ in range(2):
        drainer.drain()
    assert stored(database) == ids([before, other])
    assert (path.exists(), Quarantine(spool).count()) == (True, 0)
    state = drainer.state()
    assert state.database == "ok"
    assert "A newer version of mlopsproject wrote them (rows of version 2)" in str(state.error)
    assert find_prediction(spool, state.positions, newer.prediction_id) is None
    path.unlink()
    drainer.drain()
    assert drainer.state().error is None


def test_the_lock_is_left_to_a_newer_version(settings: LogSettings, database: Database, spool: Path) -> None:
    put(spool, as_version(make_row(), 2))
    drainer, other = make_drainer(settings, database), make_drainer(settings, database)
    drainer.start()
    wait_for(lambda: "newer version" in str(drainer.state().error))
    wait_for(other.take)
    other.release()
    drainer.close(5)


def test_a_row_without_a_time_does_not_end_the_look_at_the_backlog(tmp_path: Path) -> None:
    path = put(tmp_path, as_version(make_row(), 1, created_at=...))
    assert Backlog(tmp_path).measure({}) == (path.stat().st_size, None)
