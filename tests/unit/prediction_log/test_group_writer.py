"""Rows are acknowledged when they are kept, in groups; a failure fails its own rows and passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.prediction_rows import wait_for

from mlopsproject.prediction_log import group_writer
from mlopsproject.prediction_log.errors import LogUnavailable, RowsRefused
from mlopsproject.prediction_log.group_writer import Entry, GroupWriter


class MemorySink:
    """Keeps lines in memory; waits, fails and refuses when told to."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.refused: set[bytes] = set()
        self.closed = False

    def keep(self, group: Sequence[Entry]) -> None:
        self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if self.refused & {entry.lines for entry in group}:
            raise RowsRefused("The database does not take a row.")
        self.groups.append([entry.lines for entry in group])

    def probe(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _probes_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writer, "_PROBE_SECONDS", 0.02)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def writer(sink: MemorySink) -> Iterator[GroupWriter]:
    made = GroupWriter(sink, drop=False)
    yield made
    sink.gate.set()
    assert made.close(5)


class Results(dict[bytes, Exception | None]):
    """What each caller was told."""

    def entry(self, lines: bytes, rows: int = 1) -> Entry:
        return Entry(lines, rows, lambda error: self.update({lines: error}))


@pytest.fixture
def told() -> Results:
    return Results()


def block(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    """Have the writer wait in the middle of a group of one."""
    sink.gate.clear()
    writer.submit(told.entry(b"first"))
    wait_for(writer._queue.empty)


def test_what_waits_meanwhile_becomes_one_group(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    block(sink, writer, told)
    for lines in (b"a", b"b", b"c"):
        writer.submit(told.entry(lines))
    assert not told
    sink.gate.set()
    wait_for(lambda: len(told) == 4)
    assert sink.groups == [[b"first"], [b"a", b"b", b"c"]]
    assert set(told.values()) == {None}
    assert writer.kept_rows == 4


def test_exactly_the_rows_of_a_failed_group_are_failed(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    block(sink, writer, told)
    sink.gate.set()
    wait_for(lambda: b"first" in told)
    sink.failure = LogUnavailable("No space left.")
    writer.submit(told.entry(b"a"))
    wait_for(lambda: b"a" in told)
    assert str(told[b"a"]) == "No space left."
    assert told[b"first"] is None
    assert str(writer.failure) == "No space left."


def test_after_a_failure_rows_are_refused_at_once_until_they_can_be_kept_again(
    sink: MemorySink, writer: GroupWriter, told: Results
) -> None:
    sink.failure = LogUnavailable("No space left.")
    writer.submit(told.entry(b"a"))
    wait_for(lambda: writer.failure)
    writer.submit(told.entry(b"b"))
    assert isinstance(told[b"b"], LogUnavailable)
    sink.failure = None
    wait_for(lambda: writer.failure is None)
    writer.submit(told.entry(b"c"))
    wait_for(lambda: b"c" in told)
    assert sink.groups == [[b"c"]]


def test_rows_are_dropped_and_counted_where_answers_matter_more(sink: MemorySink, told: Results) -> None:
    writer = GroupWriter(sink, drop=True)
    sink.failure = LogUnavailable("No space left.")
    writer.submit(told.entry(b"a", 3))
    wait_for(lambda: writer.failure)
    writer.submit(told.entry(b"b", 2))
    assert told == {b"a": None, b"b": None}
    assert writer.dropped == 5
    assert writer.close(5)
    assert sink.groups == []


def test_only_the_refused_row_of_a_group_fails(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    block(sink, writer, told)
    sink.refused = {b"c"}
    for lines in (b"a", b"b", b"c", b"d", b"e"):
        writer.submit(told.entry(lines))
    sink.gate.set()
    wait_for(lambda: len(told) == 6)
    assert {lines for lines, error in told.items() if error} == {b"c"}
    assert [lines for group in sink.groups for lines in group] == [b"first", b"a", b"b", b"d", b"e"]
    assert writer.failure is None


def test_more_rows_than_may_wait_are_refused(
    sink: MemorySink, writer: GroupWriter, told: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_writer, "MAX_WAITING", 10)
    block(sink, writer, told)
    writer.submit(told.entry(b"a", 9))
    writer.submit(told.entry(b"b", 1))
    assert "10 rows wait for the log already" in str(told[b"b"])
    sink.gate.set()
    wait_for(lambda: b"a" in told)
    assert told[b"a"] is None
    wait_for(lambda: writer._waiting == 0)
    writer.submit(told.entry(b"b", 10))
    wait_for(lambda: told[b"b"] is None)


def test_a_bug_of_the_sink_fails_its_rows_and_not_the_thread(
    sink: MemorySink, writer: GroupWriter, told: Results
) -> None:
    sink.failure = ZeroDivisionError("division by zero")
    writer.submit(told.entry(b"a"))
    wait_for(lambda: b"a" in told)
    assert isinstance(told[b"a"], LogUnavailable)
    sink.failure = None
    wait_for(lambda: writer.failure is None)


def test_a_caller_that_is_gone_keeps_nobody_waiting(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    def gone(error: Exception | None) -> None:
        raise RuntimeError("Event loop is closed")

    block(sink, writer, told)
    writer.submit(Entry(b"a", 1, gone))
    writer.submit(told.entry(b"b"))
    sink.gate.set()
    wait_for(lambda: b"b" in told)
    assert told[b"b"] is None


def test_closing_keeps_what_waits_and_refuses_what_comes_later(sink: MemorySink, told: Results) -> None:
    writer = GroupWriter(sink, drop=False)
    block(sink, writer, told)
    writer.submit(told.entry(b"a"))
    assert not writer.close(0.01)
    writer.submit(told.entry(b"late"))
    assert "is closed" in str(told[b"late"])
    sink.gate.set()
    assert writer.close(5)
    assert told[b"a"] is None
    assert sink.closed


def test_many_threads_get_their_own_answers(sink: MemorySink, writer: GroupWriter, told: Results) -> None:
    def send(name: int) -> Callable[[], Any]:
        return lambda: [writer.submit(told.entry(b"%d-%d" % (name, number))) for number in range(100)]

    threads = [threading.Thread(target=send(name)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: len(told) == 400)
    kept = [lines for group in sink.groups for lines in group]
    for name in range(4):
        assert [lines for lines in kept if lines.startswith(b"%d-" % name)] == [
            b"%d-%d" % (name, n) for n in range(100)
        ]
