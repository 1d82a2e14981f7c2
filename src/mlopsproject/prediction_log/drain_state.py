"""How far the drainer is and how it fares: in a file, so that the next one goes on there and other workers can tell."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from mlopsproject.prediction_log.status import DatabaseState

FILE: Final = "drainer.json"
#: Bytes of a row before any was seen.
_USUAL_ROW: Final = 600
logger = logging.getLogger(__name__)


class DrainState(BaseModel):
    """How far the drainer is, and how it fares.

    A position may be behind what the database has, never before it: what is drained twice is stored once.

    Attributes:
        positions: up to where each segment is drained, in bytes, by file name.
        rows: drained in all.
        size: of these, in bytes.
        database: how it was when last asked.
        error: what is wrong, as text.
    """

    positions: dict[str, int] = {}
    rows: int = 0
    size: int = 0
    database: DatabaseState = "down"
    error: str | None = "The database has not answered yet."

    @property
    def row_size(self) -> float:
        """Bytes of a row, on average."""
        return self.size / self.rows if self.rows else _USUAL_ROW

    @classmethod
    def load(cls, spool: Path) -> DrainState:
        """Read the state of a spool folder; a new one if there is none that can be read."""
        try:
            return cls.model_validate_json((spool / FILE).read_bytes())
        except (OSError, ValidationError):
            # Draining from the start again costs time only.
            return cls()

    def save(self, spool: Path) -> None:
        """Write the state; without waiting for the disk, and without it if that is full."""
        temporary = spool / f".{FILE}"
        try:
            temporary.write_text(self.model_dump_json(), encoding="utf-8")
            temporary.replace(spool / FILE)
        except OSError as error:
            logger.warning("The drainer's position cannot be written: %s", error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


class SharedState:
    """The state that another worker's drainer wrote, read again when it has changed.

    Args:
        spool: folder of the spool.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._stamp: tuple[int, int] | None = None
        self._state = DrainState()

    def get(self) -> DrainState:
        """The newest state."""
        try:
            found = (self._spool / FILE).stat()
        except OSError:
            return self._state
        if self._stamp != (found.st_mtime_ns, found.st_ino):
            self._stamp = (found.st_mtime_ns, found.st_ino)
            self._state = DrainState.load(self._spool)
        return self._state
