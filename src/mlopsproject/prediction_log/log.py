"""The prediction log of a worker process: rows in, durably; answers about them out."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from mlopsproject.core.errors import ConfigError
from mlopsproject.core.moments import as_utc
from mlopsproject.core.schemas import Stats
from mlopsproject.prediction_log import queries
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.drainer import DatabaseState, Drainer, QueueState, database_state
from mlopsproject.prediction_log.errors import LogOff, LogUnavailable, NotMigrated
from mlopsproject.prediction_log.old_spool import has_old_spool
from mlopsproject.prediction_log.rows import PredictionRow, Row
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.stats import stats
from mlopsproject.prediction_log.tables import Record, to_record
from mlopsproject.prediction_log.writer import WRITE_TIMEOUT, Writer

#: What `rows.new_id` makes; nothing else is looked for.
_ID: Final = re.compile("[0-9a-f]{32}")
#: Answers of this worker that are known without asking the database.
_RECENT: Final = 4096
#: Seconds that a commit may take, and a row may wait for the server, before something is wrong.
_SLOW_COMMIT: Final = 1.0
_PATIENCE: Final = 60.0
#: What `stats` looks at by default, and at most.
_STATS_SPAN: Final = timedelta(days=1)
_LONGEST_SPAN: Final = timedelta(days=366)
_MB: Final = 1_000_000
_NO_QUEUE: Final = QueueState("ok", None)
_OFF: Final = "LOG_DURABILITY=off: the prediction log keeps nothing."


def prepare(settings: LogSettings) -> None:
    """Make or update the database in `data_dir` if it is used. One that `database_url` names is migrated by hand.

    Raises:
        LogUnavailable: if it cannot be used.
        UserError: if its folder cannot be written.
    """
    is_used = settings.database_url is None or (settings.has_queue and settings.log_durability == "local")
    if settings.log_durability == "off" or not is_used:
        return
    database = Database(settings.local_url)
    try:
        database.check()
        ready = not has_old_spool(settings.data_dir)
    except NotMigrated:
        ready = False
    finally:
        database.close()
    if not ready:
        # Loading Alembic takes a while that most starts need not pay.
        from mlopsproject.prediction_log.migrate import migrate_local

        migrate_local(settings)


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the prediction log fares.

    Attributes:
        state: `ok`; `degraded`, rows are kept, but something needs a look; `failing`, rows cannot be kept.
        database: whether it answers and has the tables; `off` if nothing is kept.
        queue: what waits for PostgreSQL, of all workers of this machine; nothing where SQLite is the log.
        dropped_rows: rows of this worker that were dropped because they could not be kept.
        error: what is wrong, as text.
    """

    state: Literal["ok", "degraded", "failing"]
    database: DatabaseState
    queue: QueueState = _NO_QUEUE
    dropped_rows: int = 0
    error: str | None = None


class PredictionLog:
    """Keeps rows as the settings say; one per worker process."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._recent: dict[str, PredictionRow] = {}
        #: Rows that were dropped because they could not be kept.
        self._dropped = 0
        self._writer: Writer | None = None
        self._drainer: Drainer | None = None
        if settings.log_durability == "off":
            return
        self._local = Database(settings.local_url)
        self._database = Database(settings.url) if settings.has_queue else self._local
        if settings.has_queue and (settings.log_durability == "local" or Path(str(self._local.url.database)).is_file()):
            # Where rows go straight to the server, an earlier run may have left some.
            self._drainer = Drainer(
                self._local, self._database, batch_rows=settings.log_batch_rows, pause=settings.log_drain_seconds
            )
        # Connections of their own: questions, however many and slow, must not keep rows from being written. This
        # machine's first: rows move from there to the server.
        urls = [settings.local_url] * (self._drainer is not None) + [settings.url]
        self._asked = [Database(url) for url in urls]
        self._written = self._database if settings.log_durability == "database" else self._local
        self._writer = Writer(self._insert, self._check)

    def start(self) -> None:
        """Begin to write and to drain, in the running event loop; does not wait for a database."""
        if self._writer is not None:
            self._writer.start()
        if self._drainer is not None:
            self._drainer.start()

    def _insert(self, records: Sequence[Record]) -> None:
        self._check_size()
        self._written.insert(records)

    def _check(self, has_failed: bool) -> None:
        self._check_size()
        self._written.check_writable(has_failed=has_failed)

    def _check_size(self) -> None:
        size = self._queue().bytes
        if self._written is not self._database and size > self._settings.log_queue_max_mb * _MB:
            raise LogUnavailable(
                f"The queue {self._local.url.database} holds {size / _MB:.1f} MB, its limit is reached.",
                "Bring the database back, or raise LOG_QUEUE_MAX_MB.",
            )

    def _queue(self) -> QueueState:
        return self._drainer.state if self._drainer is not None else _NO_QUEUE

    async def write(self, rows: Sequence[Row]) -> None:
        """Have rows kept together in their order, all of them or none, and wait until they are durable.

        Raises:
            LogUnavailable: if they are not kept, or are not for a long time; then they may be kept after all.
        """
        if self._writer is None or not rows:
            return
        self._recent.update({row.prediction_id: row for row in rows if isinstance(row, PredictionRow)})
        while len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        try:
            await self._writer.write([to_record(row) for row in rows])
        except LogUnavailable:
            if self._settings.log_when_full == "refuse":
                raise
            self._dropped += len(rows)

    def status(self) -> LogStatus:
        """How the log fares; cheap enough for every scrape and health check."""
        if self._writer is None:
            return LogStatus("ok", "off")
        queue, failure, busy = self._queue(), self._writer.failure, self._writer.busy_seconds
        drains = self._settings.log_durability == "local" and self._drainer is not None
        slow = f"The prediction log's disk or database says nothing for {busy:.1f} s."
        if failure is None and busy > WRITE_TIMEOUT:
            failure = LogUnavailable(slow)
        problems = [str(failure)] if failure else [slow] if busy > _SLOW_COMMIT else []
        if queue.error and queue.error not in problems:
            problems.append(queue.error)
        if queue.age > _PATIENCE:
            problems.append(f"The oldest row has waited for the database for {queue.age:.0f} s.")
        if queue.refused:
            problems.append(
                f"PostgreSQL refused {queue.refused} row(s): see the table refused of {self._local.url.database}."
            )
        return LogStatus(
            state="failing" if failure else "degraded" if problems else "ok",
            database=queue.database if drains else database_state(failure),
            queue=queue,
            dropped_rows=self._dropped,
            error=" ".join(problems) or None,
        )

    def recent(self, prediction_id: str) -> PredictionRow | None:
        """The row of one of this worker's latest answers; does not block."""
        return self._recent.get(prediction_id)

    def knows(self, prediction_id: str) -> PredictionRow | None:
        """The row of an answer, if there was one; blocks.

        Raises:
            LogOff: if nothing is kept.
            LogUnavailable: if it is not found, and a database cannot be asked.
        """
        if self._writer is None:
            raise LogOff(_OFF)
        row = self._recent.get(prediction_id)
        if row is not None or not _ID.fullmatch(prediction_id):
            return row
        down: LogUnavailable | None = None
        for database in self._asked:
            try:
                row = queries.find(database, prediction_id)
            except LogUnavailable as error:
                down = error
            if row is not None:
                return row
        if down is not None:
            raise down
        return None

    def stats(self, since: datetime | None = None, until: datetime | None = None) -> Stats:
        """What the log holds of a stretch of time; blocks.

        Args:
            since: beginning; by default a day before `until`.
            until: end, not included; by default now. Without a time zone, both are in UTC.

        Raises:
            ConfigError: if it ends before it begins, or covers more than 366 days.
            LogOff: if nothing is kept.
            LogUnavailable: if the database cannot be asked.
        """
        if self._writer is None:
            raise LogOff(_OFF)
        until = as_utc(until) if until else datetime.now(UTC)
        since = as_utc(since) if since else until - _STATS_SPAN
        if since >= until:
            raise ConfigError("since: it must be before until.")
        if until - since > _LONGEST_SPAN:
            raise ConfigError(f"since: it must be at most {_LONGEST_SPAN.days} days before until.")
        return stats(self._asked[-1], since, until, self._queue().rows)

    async def close(self, timeout: float) -> None:
        """Keep what waits, and drain once more if the server answers, in at most `timeout` seconds."""
        if self._writer is None:
            return
        deadline = time.monotonic() + timeout
        await self._writer.close(timeout)
        if self._drainer is not None:
            await self._drainer.close(max(0.0, deadline - time.monotonic()))
        for database in (self._local, self._database, *self._asked):
            database.close()
