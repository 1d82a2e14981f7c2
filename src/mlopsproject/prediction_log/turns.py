"""Rows that callers of one event loop want kept in the same turn of it: handed over together, answered together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from mlopsproject.prediction_log.group_writer import Entry


class TurnWriter:
    """Gathers what is written within one turn of an event loop.

    Every hand-over wakes the writer's thread, and every answer the loop: with one of each per turn, a busy server
    spends its time on requests and not on switching between threads. An idle one waits for nothing longer.

    Args:
        loop: in which `write` is called.
        submit: takes entries, see `GroupWriter.submit_all`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, submit: Callable[[list[Entry]], None]) -> None:
        self.loop = loop
        self._submit = submit
        self._gathered: list[Entry] = []
        self._ended: deque[tuple[asyncio.Future[Exception | None], Exception | None]] = deque()
        self._is_telling = False

    def write(self, lines: bytes, rows: int) -> asyncio.Future[Exception | None]:
        """Have rows kept together.

        Args:
            lines: the rows, see `lines.to_line`.
            rows: how many they are.

        Returns:
            What is wrong, or `None` once they are durable.
        """
        future: asyncio.Future[Exception | None] = self.loop.create_future()
        self._gathered.append(Entry(lines, rows, partial(self._end, future)))
        if len(self._gathered) == 1:
            self.loop.call_soon(self._hand_over)
        return future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._submit(gathered)

    def _end(self, future: asyncio.Future[Exception | None], error: Exception | None) -> None:
        """Note an outcome, from the writer's thread, and wake the loop unless that has been done."""
        self._ended.append((future, error))
        if not self._is_telling:
            self._is_telling = True
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        # In this order: what is noted after the last look finds the flag down, and wakes the loop again.
        self._is_telling = False
        while self._ended:
            future, error = self._ended.popleft()
            # The caller may have been cancelled meanwhile, or have waited too long.
            if not future.done():
                future.set_result(error)
