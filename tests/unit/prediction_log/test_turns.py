"""Rows of one turn of an event loop go to the writer together, and each caller hears of its own."""

from __future__ import annotations

import asyncio
import threading

from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.group_writer import Entry
from mlopsproject.prediction_log.turns import TurnWriter


def test_one_hand_over_per_turn_and_every_caller_is_told_from_another_thread() -> None:
    handed: list[list[bytes]] = []

    def submit(entries: list[Entry]) -> None:
        handed.append([entry.lines for entry in entries])

        def end() -> None:
            for entry in entries:
                entry.done(LogUnavailable("no") if entry.lines == b"c" else None)

        threading.Thread(target=end).start()

    async def run() -> list[Exception | None]:
        turns = TurnWriter(asyncio.get_running_loop(), submit)
        first = [turns.write(lines, 1) for lines in (b"a", b"b", b"c")]
        outcomes = list(await asyncio.gather(*first))
        return [*outcomes, await turns.write(b"d", 1)]

    *fine, refused, later = asyncio.run(run())
    assert handed == [[b"a", b"b", b"c"], [b"d"]]
    assert (*fine, later) == (None, None, None)
    assert isinstance(refused, LogUnavailable)


def test_thousands_of_writes_from_many_tasks_are_all_answered() -> None:
    def submit(entries: list[Entry]) -> None:
        threading.Thread(target=lambda: [entry.done(None) for entry in entries]).start()

    async def run() -> int:
        turns = TurnWriter(asyncio.get_running_loop(), submit)

        async def caller(number: int) -> int:
            for _ in range(50):
                assert await turns.write(b"x", 1) is None
                await asyncio.sleep(0 if number % 2 else 0.0001)
            return 50

        return sum(await asyncio.wait_for(asyncio.gather(*map(caller, range(40))), 30))

    assert asyncio.run(run()) == 2000


def test_a_caller_that_gave_up_disturbs_nobody() -> None:
    def submit(entries: list[Entry]) -> None:
        for entry in entries:
            entry.done(None)

    async def run() -> None:
        turns = TurnWriter(asyncio.get_running_loop(), submit)
        gone, waiting = turns.write(b"a", 1), turns.write(b"b", 1)
        gone.cancel()
        assert await waiting is None

    asyncio.run(run())
