"""How the prediction log fares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DatabaseState = Literal["ok", "down", "not_migrated", "off"]


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the prediction log fares.

    Attributes:
        state: `ok`; `degraded`, rows are kept, but something needs a look; `failing`, rows cannot be kept.
        database: whether it answers and has the tables; `off` if nothing is kept.
        pending_rows: rows of all workers of this machine that wait for PostgreSQL; 0 where SQLite is the log.
        queue_bytes: what the queue takes on the disk; 0 where SQLite is the log.
        oldest_seconds: age of the oldest row that waits.
        dropped_rows: rows of this worker that were dropped because they could not be kept.
        refused_rows: rows of all workers of this machine that PostgreSQL did not take.
        error: what is wrong, as text.
    """

    state: Literal["ok", "degraded", "failing"]
    database: DatabaseState
    pending_rows: int = 0
    queue_bytes: int = 0
    oldest_seconds: float = 0.0
    dropped_rows: int = 0
    refused_rows: int = 0
    error: str | None = None
