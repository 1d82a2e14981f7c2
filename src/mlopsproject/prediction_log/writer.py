"""Group commit: rows that come while one transaction is under way go into the next one together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from mlopsproject.core.errors import first_line
from mlopsproject.prediction_log.errors import LogUnavailable, RowsRefused
from mlopsproject.prediction_log.tables import Record

#: Rows that may wait while a disk or database is slow; beyond, rows are refused at once.
MAX_WAITING: Final = 20_000
#: Seconds after which a disk or database that says nothing has failed.
WRITE_TIMEOUT: Final = 15.0
#: Seconds between two looks whether rows can be kept: after a failure, and while none come.
_RETRY_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 5.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Rows that one caller wants kept together, and what it waits for: `None`, or why they are not kept."""

    records: Sequence[Record]
    outcome: asyncio.Future[LogUnavailable | None]


class Writer:
    """Writes the rows of one event loop. After a failure rows are refused at once, until they can be kept again.

    Args:
        insert: commits records, all or none; called in one thread.
        check: sees whether records could be committed, knowing whether they could not before; likewise.
    """

    def __init__(self, insert: Callable[[Sequence[Record]], None], check: Callable[[bool], None]) -> None:
        self._insert = insert
        self._check = check
        self._waiting: list[_Entry] = []
        self._rows_waiting = 0
        self._wake = asyncio.Event()
        self._closed = False
        self._busy_since: float | None = None
        self._thread = ThreadPoolExecutor(1, "prediction-log-writer")
        #: Why rows cannot be kept for now.
        self.failure: LogUnavailable | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    @property
    def busy_seconds(self) -> float:
        """For how long the disk or database has been at what it was given last; 0 when it is at nothing."""
        since = self._busy_since
        return time.monotonic() - since if since is not None else 0.0

    async def write(self, records: Sequence[Record]) -> None:
        """Have records kept together and wait until they are.

        Raises:
            LogUnavailable: if they are not kept, or are not for a long time; then they may be kept after all.
        """
        failure = self.failure
        if self._closed:
            failure = LogUnavailable("The prediction log is closed.")
        elif failure is None and self._rows_waiting + len(records) > MAX_WAITING:
            failure = LogUnavailable(f"{self._rows_waiting:,} rows wait for the log already.", "Send fewer requests.")
        if failure is None:
            entry = _Entry(records, asyncio.get_running_loop().create_future())
            self._waiting.append(entry)
            self._rows_waiting += len(records)
            self._wake.set()
            try:
                async with asyncio.timeout(WRITE_TIMEOUT):
                    failure = await entry.outcome
            except TimeoutError:
                failure = LogUnavailable(f"The prediction log's disk or database says nothing for {WRITE_TIMEOUT:g} s.")
        if failure is not None:
            # Many callers may wait for the same commit: each gets an error, and traceback, of its own.
            raise type(failure)(failure.message, failure.fix)

    async def close(self, timeout: float) -> None:
        """Keep what waits, then stop, after at most `timeout` seconds."""
        self._closed = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout)
            self._task.cancel()
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        await self._look()
        while self._waiting or not self._closed:
            self._wake.clear()
            if group := self._waiting:
                self._waiting = []
                await self._keep(group)
                self._rows_waiting -= sum(len(entry.records) for entry in group)
                continue
            try:
                async with asyncio.timeout(_IDLE_SECONDS if self.failure is None else _RETRY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                await self._look()

    async def _look(self) -> None:
        before = self.failure
        self.failure = await self._attempt(self._check, before is not None)
        if self.failure is None and before is not None:
            logger.info("The prediction log can keep rows again.")

    async def _keep(self, group: list[_Entry]) -> None:
        failure = await self._attempt(self._insert, [record for entry in group for record in entry.records])
        if isinstance(failure, RowsRefused):
            # The log itself is fine.
            if len(group) > 1:
                for entry in group:
                    await self._keep([entry])
                return
            logger.error("A row of the prediction log is refused: %s", failure)
        else:
            self.failure = failure
        for entry in group:
            # Its caller may have gone, or have waited too long.
            if not entry.outcome.done():
                entry.outcome.set_result(failure)

    async def _attempt(self, function: Callable[[Any], None], argument: object) -> LogUnavailable | None:
        self._busy_since = time.monotonic()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, function, argument)
        except LogUnavailable as error:
            failure = error
        except Exception as error:
            # Whatever it is, it must fail these rows and not end the task that all others wait for.
            logger.exception("The prediction log cannot keep rows.")
            return LogUnavailable(f"The prediction log cannot keep rows: {first_line(error)}.")
        else:
            return None
        finally:
            self._busy_since = None
        if self.failure is None and not isinstance(failure, RowsRefused):
            logger.error("The prediction log cannot keep rows: %s", failure)
        return failure
