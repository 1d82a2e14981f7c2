"""The prediction log of a worker process: rows in, durably; answers about them out."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from mlopsproject.core.errors import ConfigError
from mlopsproject.core.schemas import Stats
from mlopsproject.prediction_log import queries
from mlopsproject.prediction_log.backlog import Backlog
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.database_sink import DatabaseSink
from mlopsproject.prediction_log.drainer import Drainer
from mlopsproject.prediction_log.errors import LogOff, LogUnavailable
from mlopsproject.prediction_log.group_writer import Entry, GroupWriter, Sink
from mlopsproject.prediction_log.lines import to_line
from mlopsproject.prediction_log.quarantine import Quarantine
from mlopsproject.prediction_log.rows import PredictionRow, Row
from mlopsproject.prediction_log.segment_reader import find_prediction
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.spool import Spool
from mlopsproject.prediction_log.stats import stats
from mlopsproject.prediction_log.status import LogStatus
from mlopsproject.prediction_log.turns import TurnWriter

#: What `rows.new_id` makes; nothing else is looked for.
_ID: Final = re.compile("[0-9a-f]{32}")
#: Answers of this worker that are known without asking the database.
_RECENT: Final = 4096
#: Seconds that a row may wait for the drainer before something is wrong.
_PATIENCE: Final = 60.0
#: Seconds after which a disk or database that says nothing has failed.
_WRITE_TIMEOUT: Final = 15.0
#: What `stats` looks at by default.
_STATS_SPAN: Final = timedelta(days=1)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MB: Final = 1_000_000
_OFF: Final = "LOG_DURABILITY=off: the prediction log keeps nothing."


class PredictionLog:
    """Keeps rows as the settings say; one per worker process. Thread-safe.

    Args:
        settings: see `LogSettings`.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._recent: dict[str, PredictionRow] = {}
        self._recent_lock = threading.Lock()
        self._search_lock = threading.Lock()
        if settings.log_durability == "off":
            self._database: Database | None = None
            return
        self._database = Database(settings.url)
        # Connections of its own: questions, however many and slow, must not keep rows from being written.
        self._asked = Database(settings.url)
        self._drainer = Drainer(
            settings.spool_dir,
            self._database,
            batch_rows=settings.log_batch_rows,
            pause=settings.log_drain_seconds,
            leftovers_only=settings.log_durability == "database",
        )
        self._writer = GroupWriter(self._sink(self._database), drop=settings.log_when_full == "answer")
        self._turns: TurnWriter | None = None
        self._backlog = Backlog(settings.spool_dir)
        self._quarantine = Quarantine(settings.spool_dir)
        self._drainer.start()

    def _sink(self, database: Database) -> Sink:
        if self._settings.log_durability == "database":
            return DatabaseSink(database)
        segment, folder = int(self._settings.log_segment_mb * _MB), int(self._settings.log_spool_max_mb * _MB)
        return Spool(self._settings.spool_dir, segment, folder)

    @classmethod
    def open(cls, settings: LogSettings) -> Self:
        """Start the threads that keep and drain rows; does not wait for the database."""
        return cls(settings)

    def submit(self, rows: Sequence[Row], done: Callable[[Exception | None], None]) -> None:
        """Have rows kept together, all of them or none.

        Args:
            rows: in the order in which they should arrive.
            done: called once, from the writer's thread, with `None` when the rows are durable, or with a
                `LogUnavailable` when they are not kept. If that is clear at once, it is called before this returns.

        Raises:
            PydanticSerializationError: for a value that is not of its field's type, a mistake of the program.
        """
        if self._database is None or not rows:
            done(None)
            return
        lines = b"".join([to_line(row) for row in rows])
        self._remember(rows)
        self._writer.submit(Entry(lines, len(rows), done))

    async def write(self, rows: Sequence[Row]) -> None:
        """Have rows kept together and wait until they are durable.

        Raises:
            LogUnavailable: if they are not kept, or are not for a long time; then they may be kept after all.
        """
        if self._database is None or not rows:
            return
        lines = b"".join([to_line(row) for row in rows])
        self._remember(rows)
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns.loop is not loop:
            self._turns = TurnWriter(loop, self._writer.submit_all)
        future = self._turns.write(lines, len(rows))
        too_late = self._too_late() if self._settings.log_when_full == "refuse" else None
        timer = loop.call_later(_WRITE_TIMEOUT, _settle, future, too_late)
        try:
            error = await future
        finally:
            timer.cancel()
        if isinstance(error, LogUnavailable):
            # Many callers may wait for the same group: each gets an error, and traceback, of its own.
            raise type(error)(error.message, error.fix)

    def _too_late(self) -> LogUnavailable:
        place = "database" if self._settings.log_durability == "database" else "disk"
        return LogUnavailable(f"The {place} of the prediction log has not answered for {_WRITE_TIMEOUT:g} s.")

    def status(self) -> LogStatus:
        """How the log fares; cheap enough for every scrape and health check."""
        if self._database is None:
            return LogStatus("ok", "off")
        drained = self._drainer.state()
        size, oldest = self._backlog.measure(drained.positions)
        age = max(0.0, time.time() - oldest) if oldest is not None else 0.0
        quarantined = self._quarantine.count()
        failure = self._writer.failure
        if failure is None and self._writer.busy_seconds > _WRITE_TIMEOUT:
            failure = self._too_late()
        problems = [str(failure)] if failure else []
        problems += [drained.error] if drained.error else []
        if age > _PATIENCE:
            problems.append(f"The oldest row has waited for the database for {age:.0f} s.")
        if quarantined:
            problems.append(f"{quarantined} row(s) are in {self._quarantine.folder}.")
        return LogStatus(
            state="failing" if failure else "degraded" if problems else "ok",
            database=drained.database,
            pending_rows=max(1, round(size / drained.row_size)) if size else 0,
            spool_bytes=size,
            oldest_seconds=age,
            dropped_rows=self._writer.dropped,
            quarantined_rows=quarantined,
            error=" ".join(problems) or None,
        )

    def recent(self, prediction_id: str) -> PredictionRow | None:
        """The row of one of this worker's latest answers; does not block."""
        return self._recent.get(prediction_id)

    def knows(self, prediction_id: str) -> PredictionRow | None:
        """The row of an answer, if there was one; blocks.

        Raises:
            LogOff: if nothing is kept.
            LogUnavailable: if it is not among the rows on this machine and the database cannot be asked, or too many
                wait here to search them.
        """
        if self._database is None:
            raise LogOff(_OFF)
        row = self._recent.get(prediction_id)
        if row is not None or not _ID.fullmatch(prediction_id):
            return row
        down: LogUnavailable | None = None
        try:
            row = queries.find(self._asked, prediction_id)
        except LogUnavailable as error:
            down = error
        if row is None:
            # One at a time: each may read a long way.
            with self._search_lock:
                row = find_prediction(self._settings.spool_dir, self._drainer.state().positions, prediction_id)
        if row is not None:
            return row
        if down is not None:
            raise down
        # It may have been drained between the two looks.
        return queries.find(self._asked, prediction_id)

    def stats(self, since: datetime | None = None, until: datetime | None = None) -> Stats:
        """What the log holds of a stretch of time; blocks.

        Args:
            since: beginning; by default a day before `until`.
            until: end, not included; by default now. Without a time zone, both are in UTC.

        Raises:
            ConfigError: if it ends before it begins.
            LogOff: if nothing is kept.
            LogUnavailable: if the database cannot be asked.
        """
        if self._database is None:
            raise LogOff(_OFF)
        until = _utc(until) if until else datetime.now(UTC)
        since = max(_utc(since), _EPOCH) if since else until - _STATS_SPAN
        if since >= until:
            raise ConfigError(f"since={since} is not before until={until}.")
        return stats(self._asked, since, until, self.status().pending_rows)

    def close(self, timeout: float) -> None:
        """Keep what waits, leave the segment to the drainer, and drain once more if the database answers.

        Args:
            timeout: seconds for all of it.
        """
        if self._database is None:
            return
        deadline = time.monotonic() + timeout
        self._writer.close(timeout)
        self._drainer.close(max(0.0, deadline - time.monotonic()))
        self._database.close()
        self._asked.close()

    def _remember(self, rows: Sequence[Row]) -> None:
        with self._recent_lock:
            for row in rows:
                if isinstance(row, PredictionRow):
                    self._recent[row.prediction_id] = row
            while len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _settle(future: asyncio.Future[Exception | None], outcome: Exception | None) -> None:
    if not future.done():
        future.set_result(outcome)
