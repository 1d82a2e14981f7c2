"""Background work rests between slices: longer than it works, shorter while it is behind, not at all at the end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.prediction_rows import ids, make_rows, stored, write_segment

from mlopsproject.prediction_log import pacer as pacer_module
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.pacer import SLICE, Pacer
from mlopsproject.prediction_log.settings import LogSettings


class Rests(threading.Event):
    """An event that notes for how long it was waited for, without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.taken.append(timeout)
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """CPU time of the thread: what the test says."""
    now = [0.0]
    monkeypatch.setattr(pacer_module.time, "thread_time", lambda: now[0])
    return now


@given(st.lists(st.integers()), st.integers(1, 40))
def test_slices_are_all_items_in_order(items: list[int], size: int) -> None:
    rests = Rests()
    slices = list(Pacer(rests).slices(items, size))
    assert [item for part in slices for item in part] == items
    assert all(0 < len(part) <= size for part in slices)
    assert len(rests.taken) == len(slices)


@pytest.mark.parametrize(("behind", "rest"), [(False, 0.005), (True, 0.001)])
def test_a_rest_is_in_proportion_to_the_cpu_time_of_the_slice(clock: list[float], behind: bool, rest: float) -> None:
    rests = Rests()
    pacer = Pacer(rests)
    pacer.behind = behind
    for _ in pacer.slices([1, 2], 1):
        clock[0] += 0.001
    assert rests.taken == pytest.approx([rest, rest])


def test_a_rest_has_an_end(clock: list[float]) -> None:
    rests = Rests()
    for _ in Pacer(rests).slices([1]):
        clock[0] += 60
    assert rests.taken == [0.02]


def test_nobody_rests_once_the_work_is_to_stop(clock: list[float]) -> None:
    stop = threading.Event()
    stop.set()
    began = time.perf_counter()
    for _ in Pacer(stop).slices(range(500), 1):
        clock[0] += 60
    assert time.perf_counter() - began < 1


def test_the_drainer_rests_between_slices_and_rests_less_while_it_is_behind(
    settings: LogSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[int, bool]] = []

    class Noted(Pacer):
        def slices(self, items, size=SLICE):  # type: ignore[no-untyped-def]
            for part in super().slices(items, size):
                taken.append((len(part), self.behind))
                yield part

    monkeypatch.setattr("mlopsproject.prediction_log.drainer.Pacer", Noted)
    rows = make_rows(5 * SLICE)
    write_segment(Path(settings.spool_dir), rows, worker="a", number=1)
    drainer = Drainer(settings.spool_dir, database, batch_rows=3 * SLICE, pause=60)
    assert drainer.take()
    drainer.drain()
    assert stored(database) == ids(rows)
    # Read, made into records, inserted: 3 + 3 + 3 slices of the first batch, 2 + 2 + 2 of the second.
    assert taken == [(SLICE, False)] * 9 + [(SLICE, True)] * 6
