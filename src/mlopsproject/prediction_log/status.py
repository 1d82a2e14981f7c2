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
        pending_rows: rows of all workers that the database does not have yet, estimated from their bytes; 0 is exact.
        spool_bytes: what those take on the disk.
        oldest_seconds: age of the oldest of them.
        dropped_rows: rows of this worker that were dropped because they could not be kept.
        quarantined_rows: rows of all workers that were damaged or refused by the database, kept aside in a file.
        error: what is wrong, as text.
    """

    state: Literal["ok", "degraded", "failing"]
    database: DatabaseState
    pending_rows: int = 0
    spool_bytes: int = 0
    oldest_seconds: float = 0.0
    dropped_rows: int = 0
    quarantined_rows: int = 0
    error: str | None = None
