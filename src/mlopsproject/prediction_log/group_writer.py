"""Group commit: one thread takes all rows that wait, makes them durable in one go and acknowledges them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Protocol

from mlopsproject.core.errors import first_line
from mlopsproject.prediction_log.errors import LogUnavailable, RowsRefused

Done = Callable[[Exception | None], None]
#: Rows that may wait while a disk or database is slow; beyond, rows are refused at once.
MAX_WAITING: Final = 20_000
#: Rows of one group.
_MAX_GROUP: Final = 4_000
#: Seconds between two tries whether rows can be kept again.
_PROBE_SECONDS: Final = 0.5
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """Rows that one caller wants kept together.

    Attributes:
        lines: the rows, see `lines.to_line`.
        rows: how many they are.
        done: called with `None` when they are durable, else with what is wrong.
    """

    lines: bytes
    rows: int
    done: Done


class Sink(Protocol):
    """Where rows are made durable. Used by one thread."""

    def keep(self, group: Sequence[Entry]) -> None:
        """Make a group durable as a whole.

        Raises:
            RowsRefused: if nothing was kept because of some of the rows; other rows would be.
            LogUnavailable: if nothing was kept.
        """

    def probe(self) -> None:
        """Try whether rows could be kept.

        Raises:
            LogUnavailable: if they could not.
        """

    def close(self) -> None:
        """Finish."""


class GroupWriter:
    """Takes rows from any thread, and hands them to a sink in groups from a thread of its own.

    After a failure rows are refused at once, until the sink can keep them again.

    Args:
        sink: where they go.
        drop: acknowledge rows that cannot be kept, and count them, instead of failing them.
    """

    def __init__(self, sink: Sink, *, drop: bool) -> None:
        self._sink = sink
        self._drop = drop
        self._queue: SimpleQueue[list[Entry] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False
        self._busy_since: float | None = None
        #: Why rows cannot be kept for now.
        self.failure: LogUnavailable | None = None
        #: Rows that were dropped.
        self.dropped = 0
        #: Rows and bytes that were kept.
        self.kept_rows = 0
        self.kept_bytes = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log-writer", daemon=True)
        self._thread.start()

    @property
    def busy_seconds(self) -> float:
        """For how long the sink has been at the present group; 0 when it waits for one."""
        since = self._busy_since
        return time.monotonic() - since if since is not None else 0.0

    def submit(self, entry: Entry) -> None:
        """Queue rows; if they cannot be kept for now, `done` is called at once, from this thread."""
        self.submit_all([entry])

    def submit_all(self, entries: list[Entry]) -> None:
        """Queue entries, all or none, with one wake-up of the thread; otherwise as `submit`."""
        rows = sum(entry.rows for entry in entries)
        with self._lock:
            failure = self.failure
            if self._closed:
                failure = LogUnavailable("The prediction log is closed.")
            elif failure is None and self._waiting + rows > MAX_WAITING:
                failure = LogUnavailable(f"{self._waiting:,} rows wait for the log already.", "Send fewer requests.")
            if failure is None:
                self._waiting += rows
                self._queue.put(entries)
                return
        self._finish(entries, failure)

    def close(self, timeout: float) -> bool:
        """Keep what waits, then stop.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether it was done in time.
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            if group:
                self._busy_since = time.monotonic()
                self._keep(group)
                self._busy_since = None
                with self._lock:
                    self._waiting -= sum(entry.rows for entry in group)
        self._sink.close()

    def _next_group(self) -> tuple[list[Entry], bool]:
        """All that waits, and whether more may come."""
        group: list[Entry] = []
        rows = 0
        try:
            while rows < _MAX_GROUP:
                entries = self._queue.get_nowait() if group else self._wait()
                if entries is None:
                    return group, False
                group += entries
                rows += sum(entry.rows for entry in entries)
        except Empty:
            pass
        return group, True

    def _wait(self) -> list[Entry] | None:
        """The next entries; while rows cannot be kept, try now and then whether they can again."""
        while self.failure is not None:
            try:
                return self._queue.get(timeout=_PROBE_SECONDS)
            except Empty:
                self.failure = self._attempt(self._sink.probe)
                if self.failure is None:
                    logger.info("The prediction log can keep rows again.")
        return self._queue.get()

    def _keep(self, group: list[Entry]) -> None:
        failure = self._attempt(lambda: self._sink.keep(group))
        if isinstance(failure, RowsRefused):
            self._keep_others(group, failure)
            return
        if failure is None:
            self.kept_rows += sum(entry.rows for entry in group)
            self.kept_bytes += sum(len(entry.lines) for entry in group)
        elif self.failure is None:
            logger.error("The prediction log cannot keep rows: %s", failure)
        self.failure = failure
        self._finish(group, failure)

    def _keep_others(self, group: list[Entry], failure: RowsRefused) -> None:
        """Find the entry that is refused by halving; the log itself is fine."""
        if len(group) == 1:
            logger.error("A row of the prediction log is refused: %s", failure)
            self._finish(group, failure)
            return
        half = len(group) // 2
        self._keep(group[:half])
        self._keep(group[half:])

    def _attempt(self, action: Callable[[], None]) -> LogUnavailable | None:
        try:
            action()
        except LogUnavailable as error:
            return error
        except Exception as error:
            # Whatever it is, it must fail these rows and not end the thread that all others wait for.
            logger.exception("The prediction log cannot keep rows.")
            return LogUnavailable(f"The prediction log cannot keep rows: {first_line(error)}.")
        return None

    def _finish(self, group: Sequence[Entry], failure: LogUnavailable | None) -> None:
        if failure is not None and self._drop:
            with self._lock:
                self.dropped += sum(entry.rows for entry in group)
            failure = None
        for entry in group:
            try:
                entry.done(failure)
            except Exception:
                # A caller that is gone, such as a closed event loop, must not keep the others waiting.
                logger.exception("A caller of the prediction log could not be told of its rows.")
