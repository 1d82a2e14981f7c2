"""What the spool acknowledges is on the disk, whole and once; what it refuses is not."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prediction_rows import ids, make_row, make_rows, spooled, write_segment

from mlopsproject.prediction_log import segment_reader, segments
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.group_writer import Entry
from mlopsproject.prediction_log.lines import to_line
from mlopsproject.prediction_log.rows import FeedbackRow
from mlopsproject.prediction_log.segment_reader import CHUNK, find_prediction, read_batch
from mlopsproject.prediction_log.segments import SegmentWriter, if_orphaned, list_segments
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.spool import Spool

MB = 1_000_000


def entry(rows: list[Any]) -> Entry:
    return Entry(b"".join(map(to_line, rows)), len(rows), lambda error: None)


def keep(spool: Spool, rows: list[Any]) -> bool:
    try:
        spool.keep([entry([row]) for row in rows])
    except LogUnavailable:
        return False
    return True


class FaultyDisk:
    """Stands for the module `os`: writes little at a time, and fails when told to."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.piece = 1 << 30

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, handle: int, data: memoryview) -> int:
        piece = data[: self.piece] if self.room is None else data[: min(self.piece, self.room)]
        if not piece:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.room is not None:
            self.room -= len(piece)
        return os.write(handle, piece)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    with pytest.MonkeyPatch.context() as patch:
        disk = FaultyDisk()
        patch.setattr(segments, "os", disk)
        yield disk


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    spool, rows = Spool(tmp_path, MB, MB), make_rows(20)
    for start in range(0, 20, 5):
        spool.keep([entry(rows[start : start + 2]), entry(rows[start + 2 : start + 5])])
    assert ids(spooled(tmp_path)) == ids(rows)


def test_a_group_is_synced_as_a_whole_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(segments, "_sync_data", lambda handle: sizes.append(os.fstat(handle).st_size))
    spool, groups = Spool(tmp_path, MB, MB), [make_rows(3), make_rows(2)]
    expected = 0
    for count, rows in enumerate(groups, start=1):
        expected += sum(len(to_line(row)) for row in rows)
        assert keep(spool, rows)
        assert (len(sizes), sizes[-1]) == (count, expected)


def test_a_full_segment_is_left_and_the_next_one_begun(tmp_path: Path) -> None:
    spool, rows = Spool(tmp_path, 2000, MB), make_rows(10)
    for row in rows:
        spool.keep([entry([row])])
    found = list_segments(tmp_path)
    assert len(found) > 1
    assert [segment.number for segment in found] == list(range(1, len(found) + 1))
    assert ids(spooled(tmp_path)) == ids(rows)
    with if_orphaned(found[0].path) as first, if_orphaned(found[-1].path) as last:
        assert (first, last) == (True, False)


def test_a_segment_is_an_orphan_once_its_writer_is_closed_and_gone_if_it_is_empty(tmp_path: Path) -> None:
    writer = SegmentWriter.create(tmp_path, "worker", 1)
    writer.append(to_line(make_row()))
    with if_orphaned(writer.path) as orphaned:
        assert not orphaned
    writer.close()
    with if_orphaned(writer.path) as orphaned:
        assert orphaned
    SegmentWriter.create(tmp_path, "worker", 2).close()
    assert [segment.number for segment in list_segments(tmp_path)] == [1]


def test_two_workers_share_a_folder(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, MB, MB), Spool(tmp_path, MB, MB)
    rows = make_rows(4)
    for spool, row in zip([first, second] * 2, rows, strict=True):
        spool.keep([entry([row])])
    assert len(list_segments(tmp_path)) == 2
    assert sorted(ids(spooled(tmp_path))) == sorted(ids(rows))


faults = st.sampled_from(["none", "none", "none", "write", "sync", "slow"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), faults, st.integers(0, 2500)), max_size=12), st.sampled_from([1000, MB]))
def test_what_is_acknowledged_comes_back_once_whatever_fails_in_between(
    groups: list[tuple[int, str, int]], segment_bytes: int
) -> None:
    acknowledged = []
    with tempfile.TemporaryDirectory() as folder, faulty_disk() as disk, pytest.MonkeyPatch.context() as patch:

        def sync(handle: int) -> None:
            if fault == "sync":
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(segments, "_sync_data", sync)
        spool = Spool(Path(folder), segment_bytes, MB)
        for count, fault, room in groups:
            rows = make_rows(count)
            disk.room, disk.piece = (room if fault == "write" else None), (100 if fault == "slow" else 1 << 30)
            if keep(spool, rows):
                acknowledged += rows
            else:
                assert fault in ("write", "sync")
        assert ids(spooled(Path(folder))) == ids(acknowledged)


def test_a_torn_tail_at_any_byte_hides_no_other_row_and_is_none(tmp_path: Path) -> None:
    rows = make_rows(3)
    lines = [to_line(row) for row in rows]
    whole = b"".join(lines)
    path = tmp_path / "segment"
    path.write_bytes(whole)
    for cut in range(len(whole), -1, -1):
        os.truncate(path, cut)
        batch = read_batch(path, 0, 10)
        complete = sum(cut >= sum(map(len, lines[: number + 1])) for number in range(3))
        assert ids([document for _, document in batch.documents]) == ids(rows[:complete])
        assert batch.damaged == []
        assert batch.end == sum(map(len, lines[:complete]))


FIXED = [make_row(prediction_id=f"{number:032x}", request_id="0" * 32, created_at=1.5) for number in range(4)]
LINES = [to_line(row) for row in FIXED]
WHOLE = b"".join(LINES)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.integers(0, len(WHOLE) - 1), st.integers(0, 255) | st.just(10), min_size=1, max_size=4))
def test_damaged_bytes_make_no_wrong_row_and_hide_no_good_one(changes: dict[int, int]) -> None:
    content = bytearray(WHOLE)
    for place, value in changes.items():
        content[place] = value
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        batch = read_batch(Path(file.name), 0, 100)
    found = [line + b"\n" for line, _ in batch.documents]
    assert set(found) <= set(LINES)
    for number, line in enumerate(LINES):
        start = number * len(line)
        if content[max(start - 1, 0) : start + len(line)] == WHOLE[max(start - 1, 0) : start + len(line)]:
            assert line in found
    # All else is reported, or an unfinished line at the end.
    assert sum(map(len, found)) + sum(len(line) + 1 for line in batch.damaged) == batch.end
    assert b"\n" not in content[batch.end :]


def test_a_stretch_without_a_newline_is_damaged_and_passed_over(tmp_path: Path) -> None:
    path, row = tmp_path / "segment", make_row()
    path.write_bytes(b"\0" * (CHUNK + 10) + b"\n" + to_line(row))
    first = read_batch(path, 0, 10)
    assert (len(first.damaged), first.end, first.more) == (1, CHUNK, True)
    second = read_batch(path, first.end, 10)
    assert ids([document for _, document in second.documents]) == [row.prediction_id]
    assert second.damaged == [b"\0" * 10]


def test_a_batch_ends_at_its_limit_and_says_that_there_is_more(tmp_path: Path) -> None:
    rows = make_rows(5)
    path = write_segment(tmp_path, rows)
    first = read_batch(path, 0, 3)
    assert ids([document for _, document in first.documents]) == ids(rows[:3])
    assert first.more
    rest = read_batch(path, first.end, 3)
    assert ids([document for _, document in rest.documents]) == ids(rows[3:])
    assert not rest.more


def test_a_prediction_is_found_in_the_part_that_is_not_drained(tmp_path: Path) -> None:
    rows = make_rows(5)
    path = write_segment(tmp_path, [FeedbackRow(rows[4].prediction_id, "sad"), *rows])
    for row in rows:
        assert find_prediction(tmp_path, {}, row.prediction_id) == row
    assert find_prediction(tmp_path, {path.name: path.stat().st_size}, rows[0].prediction_id) is None
    assert find_prediction(tmp_path, {}, "0" * 32) is None
    assert find_prediction(tmp_path / "nowhere", {}, "0" * 32) is None


def test_a_spool_at_its_limit_refuses_until_it_is_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlopsproject.prediction_log.spool._PROBE_BYTES", 1000)
    monkeypatch.setattr("mlopsproject.prediction_log.spool._SIZE_AGE", 0.0)
    spool = Spool(tmp_path, 1500, 4000)
    taken = 0
    while keep(spool, [make_row()]):
        taken += 1
    assert 1 < taken < 10
    with pytest.raises(LogUnavailable, match=r"holds 0\.0 MB, its limit is reached.*LOG_SPOOL_MAX_MB"):
        spool.probe()
    assert len(spooled(tmp_path)) == taken
    list_segments(tmp_path)[0].path.unlink()
    spool.probe()
    assert keep(spool, [make_row()])


def test_a_deleted_folder_is_noticed_and_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool, row = Spool(folder, MB, MB), make_row()
    assert keep(spool, [make_row()])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert not keep(spool, [make_row()])
    spool.probe()
    assert keep(spool, [row])
    assert ids(spooled(folder)) == [row.prediction_id]


def test_a_segment_that_the_drainer_took_for_an_orphan_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, taken = segments.fcntl.flock, []

    def meddling(handle: int, operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        flock(handle, operation)

    monkeypatch.setattr(segments.fcntl, "flock", meddling)
    assert keep(Spool(tmp_path, MB, MB), [make_row()])
    assert [segment.number for segment in list_segments(tmp_path)] == [2]


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", MB, MB)
    with pytest.raises(LogUnavailable, match=r"cannot be written: Not a directory"):
        spool.keep([entry([make_row()])])
    with pytest.raises(LogUnavailable, match=r"cannot be written: Not a directory"):
        spool.probe()


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from mlopsproject.prediction_log.spool import Spool
from tests.unit.prediction_log.test_spool import keep, make_rows
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
spool = Spool(folder, 1_000_000, 1_000_000)
for _ in range(20):
    rows = make_rows(3)
    print(*(row.prediction_id for row in rows) if keep(spool, rows) else "-")
"""


def test_a_file_that_may_not_grow_holds_what_was_acknowledged_and_nothing_else(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, cwd=root
    )
    said = done.stdout.split()
    assert "-" in said
    assert [word for word in said if word != "-"] == ids(spooled(tmp_path))
    assert all(segment.size <= 5000 for segment in list_segments(tmp_path))


def test_a_full_spool_whose_rows_are_drained_takes_rows_again_by_itself(
    settings: LogSettings, database: Database
) -> None:
    """Also if its own segment in use is what fills it."""
    drainer = Drainer(settings.spool_dir, database, batch_rows=10, pause=60)
    assert drainer.take()
    spool = Spool(settings.spool_dir, MB, 300_000)
    while keep(spool, make_rows(20)):
        pass
    drainer.drain()
    spool.probe()
    assert keep(spool, make_rows(20))
    drainer.release()


def test_looking_whether_there_is_room_again_leaves_the_segment_as_well(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MB, 300_000)
    assert keep(spool, make_rows(200))
    (segment,) = list_segments(tmp_path)
    with pytest.raises(LogUnavailable, match=r"holds 0\.1 MB, its limit is reached"):
        spool.probe()
    with if_orphaned(segment.path) as orphaned:
        assert orphaned


def test_an_answer_is_looked_for_in_the_newest_part_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_row(), make_row()
    path = write_segment(tmp_path, [old], worker="a", number=1)
    write_segment(tmp_path, [new], worker="a", number=2)
    monkeypatch.setattr(segment_reader, "SEARCHED", path.stat().st_size + 100)
    assert find_prediction(tmp_path, {}, new.prediction_id) == new
    with pytest.raises(LogUnavailable, match="Too many rows wait"):
        find_prediction(tmp_path, {}, old.prediction_id)
    assert find_prediction(tmp_path, {path.name: path.stat().st_size}, old.prediction_id) is None
