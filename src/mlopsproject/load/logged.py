"""Is what was answered in the prediction log? Compares the ids that clients received with the database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import predictions

#: Ids that are asked for at once; databases limit the parameters of a query.
_CHUNK: Final = 500
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers against the log.

    Attributes:
        answered: different prediction ids that clients received.
        repeated: ids that clients received more than once.
        missing: ids that clients received and the database does not have.
        twice: ids that the database has more than once.
    """

    answered: int
    repeated: tuple[str, ...]
    missing: tuple[str, ...]
    twice: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every id that clients received is in the database exactly once."""
        return not (self.repeated or self.missing or self.twice)


def read_answers(path: Path) -> list[str]:
    """The prediction ids that the locustfile noted."""
    return path.read_text(encoding="ascii").split()


def compare(answers: Iterable[str], settings: LogSettings, seconds: float = 0.0) -> Comparison:
    """Look the answers up in the database.

    Args:
        answers: prediction ids that clients received.
        settings: of the log.
        seconds: to wait for rows that are still on their way there.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    received = Counter(answers)
    deadline = time.monotonic() + seconds
    database = Database(settings.url)
    found: Counter[str] = Counter()
    try:
        while True:
            found += _count(database, [identifier for identifier in received if identifier not in found])
            if len(found) == len(received) or time.monotonic() >= deadline:
                break
            time.sleep(_LOOK_SECONDS)
    finally:
        database.close()
    return Comparison(
        answered=len(received),
        repeated=tuple(identifier for identifier, times in received.items() if times > 1),
        missing=tuple(identifier for identifier in received if identifier not in found),
        twice=tuple(identifier for identifier, times in found.items() if times > 1),
    )


def _count(database: Database, identifiers: list[str]) -> Counter[str]:
    """How often the database has each of them; those that it does not have are left out."""
    found: Counter[str] = Counter()
    for start in range(0, len(identifiers), _CHUNK):
        wanted = predictions.c.prediction_id.in_(identifiers[start : start + _CHUNK])
        with database.transaction() as connection:
            found.update(connection.scalars(select(predictions.c.prediction_id).where(wanted)))
    return found
