"""Rows are acknowledged when they are committed, in groups; a failure fails its own rows and passes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from mlopsproject.prediction_log import writer as writer_module
from mlopsproject.prediction_log.errors import LogUnavailable, RowsRefused
from mlopsproject.prediction_log.writer import Writer


class MemoryDatabase:
    """Keeps records in memory; waits, fails and refuses when told to."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.refused: set[Any] = set()

    def insert(self, records: Sequence[Any]) -> None:
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        if self.refused & set(records):
            raise RowsRefused("The database does not take a row.")
        self.groups.append(list(records))

    def check(self, has_failed: bool) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture(autouse=True)
def _looks_come_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_RETRY_SECONDS", 0.02)


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


def in_loop(database: MemoryDatabase, work: Callable[[Writer], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine with a writer that has begun."""

    async def run() -> None:
        writer = Writer(database.insert, database.check)
        writer.start()
        try:
            await work(writer)
        finally:
            database.gate.set()
            await writer.close(5)

    asyncio.run(run())


def send(writer: Writer, *records: Any) -> asyncio.Task[None]:
    return asyncio.create_task(writer.write(records))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def block(database: MemoryDatabase, writer: Writer) -> asyncio.Task[None]:
    """Have the writer wait in the middle of a group of one."""
    await until(lambda: not writer.busy_seconds)
    database.gate.clear()
    first = send(writer, "first")
    await until(lambda: writer.busy_seconds and not writer._waiting)
    return first


def test_what_waits_meanwhile_becomes_one_group(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        tasks = [await block(database, writer), *(send(writer, name) for name in "abc")]
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in tasks)
        database.gate.set()
        await asyncio.gather(*tasks)
        assert database.groups == [["first"], ["a", "b", "c"]]

    in_loop(database, work)


def test_exactly_the_rows_of_a_failed_group_are_failed(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        await send(writer, "first")
        database.failure = LogUnavailable("No space left.", "Free some.")
        with pytest.raises(LogUnavailable, match=r"No space left\. Free some\."):
            await send(writer, "a")
        assert str(writer.failure) == "No space left. Free some."
        assert database.groups == [["first"]]

    in_loop(database, work)


def test_each_caller_of_a_failed_group_gets_an_error_of_its_own(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        await send(writer, "first")
        database.failure = LogUnavailable("No space left.")
        errors = await asyncio.gather(*(send(writer, name) for name in "abc"), return_exceptions=True)
        assert [type(error) for error in errors] == [LogUnavailable] * 3
        assert len({id(error) for error in errors}) == 3

    in_loop(database, work)


def test_after_a_failure_rows_are_refused_at_once_until_they_can_be_kept_again(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        await send(writer, "first")
        database.failure = LogUnavailable("No space left.")
        with pytest.raises(LogUnavailable):
            await send(writer, "a")
        database.gate.clear()
        with pytest.raises(LogUnavailable):
            await asyncio.wait_for(writer.write(["b"]), 1)
        database.gate.set()
        database.failure = None
        await until(lambda: writer.failure is None)
        await send(writer, "c")
        assert database.groups == [["first"], ["c"]]

    in_loop(database, work)


def test_a_database_that_fails_is_noticed_without_any_row(
    database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "_IDLE_SECONDS", 0.02)

    async def work(writer: Writer) -> None:
        database.failure = LogUnavailable("It is locked.")
        await until(lambda: writer.failure is not None)
        database.failure = None
        await until(lambda: writer.failure is None)

    in_loop(database, work)


def test_only_the_refused_row_of_a_group_fails(database: MemoryDatabase) -> None:
    database.refused = {"c"}

    async def work(writer: Writer) -> None:
        first = await block(database, writer)
        tasks = {name: send(writer, name) for name in "abcde"}
        await asyncio.sleep(0)
        database.gate.set()
        await asyncio.gather(first, *tasks.values(), return_exceptions=True)
        assert [name for name, task in tasks.items() if task.exception()] == ["c"]
        assert [record for group in database.groups for record in group] == ["first", "a", "b", "d", "e"]
        assert writer.failure is None

    in_loop(database, work)


def test_more_rows_than_may_wait_are_refused(database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 10)

    async def work(writer: Writer) -> None:
        first, most = await block(database, writer), send(writer, *"123456789")
        await asyncio.sleep(0)
        with pytest.raises(LogUnavailable, match="10 rows wait for the log already"):
            await send(writer, "b")
        database.gate.set()
        await asyncio.gather(first, most)
        await send(writer, *"0123456789")

    in_loop(database, work)


def test_a_bug_fails_its_rows_and_not_the_task(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        await send(writer, "first")
        database.failure = ZeroDivisionError("division by zero")
        with pytest.raises(LogUnavailable, match="division by zero"):
            await send(writer, "a")
        database.failure = None
        await until(lambda: writer.failure is None)
        await send(writer, "b")

    in_loop(database, work)


def test_a_caller_that_gives_up_does_no_harm(database: MemoryDatabase) -> None:
    async def work(writer: Writer) -> None:
        first, gone, other = await block(database, writer), send(writer, "a"), send(writer, "b")
        await asyncio.sleep(0)
        gone.cancel()
        database.gate.set()
        await asyncio.gather(first, other)
        assert database.groups == [["first"], ["a", "b"]]

    in_loop(database, work)


def test_a_disk_that_says_nothing_keeps_nobody_waiting_for_ever(
    database: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "WRITE_TIMEOUT", 0.05)

    async def work(writer: Writer) -> None:
        first = await block(database, writer)
        with pytest.raises(LogUnavailable, match=r"says nothing for 0\.05 s"):
            await first
        database.gate.set()
        await send(writer, "a")
        assert database.groups == [["first"], ["a"]]

    in_loop(database, work)


def test_closing_keeps_what_waits_and_refuses_what_comes_later(database: MemoryDatabase) -> None:
    async def work() -> None:
        writer = Writer(database.insert, database.check)
        writer.start()
        tasks = [await block(database, writer), send(writer, "a")]
        await asyncio.sleep(0)
        closing = asyncio.create_task(writer.close(5))
        await asyncio.sleep(0.01)
        with pytest.raises(LogUnavailable, match="is closed"):
            await send(writer, "late")
        database.gate.set()
        await asyncio.gather(closing, *tasks)
        assert database.groups == [["first"], ["a"]]

    asyncio.run(work())
