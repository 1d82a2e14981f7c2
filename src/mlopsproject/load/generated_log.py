"""A prediction log of any size, made up: many rows in little time, the same ones every time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Table

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.tables import feedback, predictions

CLASSES: Final = ("angry", "fear", "happy", "sad", "surprise")
_DAY: Final = 86_400
#: Share of each class when the log begins and when it ends.
_BEGIN, _END = (0.15, 0.10, 0.45, 0.15, 0.15), (0.20, 0.15, 0.30, 0.20, 0.15)
_THRESHOLD: Final = 0.55
#: Seconds after which people say what they think, at most.
_PATIENCE: Final = 600
#: Rows that are held as Python objects at a time.
_CHUNK: Final = 10_000
Values = tuple[Any, ...]


@dataclass(frozen=True)
class GeneratedLog:
    """Answers that are spread over some days at random, and feedback to some of them.

    Attributes:
        rows: answers.
        until: when the last one is made, in Unix seconds.
        days: over which they are spread.
        models: that answered, one after the other, for equally long.
        remarks: feedback, each to another answer.
        seed: of all that is random.
    """

    rows: int
    until: float
    days: float = 90
    models: int = 2
    remarks: int = 0
    seed: int = 0

    def answers(self) -> Iterator[Values]:
        """The rows of `predictions`, the oldest first; a value per column, moments in Unix seconds."""
        rng = np.random.default_rng(self.seed)
        # Whole milliseconds, which every database keeps as they are.
        ages = np.sort(rng.integers(1, int(self.days * _DAY * 1000), self.rows))[::-1]
        position = np.linspace(0, 1, self.rows, endpoint=False)
        edges = np.cumsum(_BEGIN)[None, :] * (1 - position[:, None]) + np.cumsum(_END)[None, :] * position[:, None]
        labels = (rng.random(self.rows)[:, None] >= edges[:, :-1]).sum(axis=1)
        confidence = 1 - 0.7 * rng.beta(1.2, 2 + position, self.rows)
        brightness = rng.normal(0.5, 0.1, self.rows).clip(0, 1)
        contrast, sharpness = rng.beta(13, 50, self.rows), rng.beta(9, 90, self.rows)
        latency = rng.gamma(4, 1, self.rows)
        model = (position * self.models).astype(int)
        columns = (ages, labels, confidence, brightness, contrast, sharpness, latency, model)
        identifiers = _identifiers(self.rows, rng)
        for age, label, share, *measured, number in zip(*(part.tolist() for part in columns), strict=True):
            name, rest = CLASSES[label], (1 - share) / (len(CLASSES) - 1)
            probabilities = ", ".join(f'"{each}": {share if each == name else rest:.6f}' for each in CLASSES)
            yield (
                *(identifier := next(identifiers), identifier, (self.until * 1000 - age) / 1000),
                *(f"generated-{number:012x}", "int8", "upload", name, share, share < _THRESHOLD),
                *(f"{{{probabilities}}}", "found", 10, 20, 100, 120, 640, 480, *measured),
            )

    def feedback(self) -> Iterator[Values]:
        """The rows of `feedback`; four of five agree."""
        rng = np.random.default_rng(self.seed + 1)
        chosen = np.zeros(self.rows, bool)
        chosen[rng.choice(self.rows, min(self.remarks, self.rows), replace=False)] = True
        identifiers = _identifiers(int(chosen.sum()), rng)
        for answer in itertools.compress(self.answers(), chosen.tolist()):
            label = answer[6] if rng.random() < 0.8 else CLASSES[rng.integers(len(CLASSES))]
            # Nobody speaks after the end.
            moment = min(answer[2] + round(rng.random() * _PATIENCE, 3), self.until - 0.001)
            yield next(identifiers), answer[0], label, moment

    def fill(self, database: Database) -> None:
        """Put all rows into a migrated database, in one transaction.

        Raises:
            LogUnavailable: if it does not take them.
        """
        with database.transaction() as connection:
            for table, rows in ((predictions, self.answers()), (feedback, self.feedback())):
                (_insert if database.is_sqlite else _copy)(connection, table, rows)


def _identifiers(count: int, rng: np.random.Generator) -> Iterator[str]:
    digits = rng.bytes(16 * count).hex()
    return (digits[start : start + 32] for start in range(0, 32 * count, 32))


def _insert(connection: Connection, table: Table, rows: Iterator[Values]) -> None:
    marks = ", ".join("?" * len(table.columns))
    while part := list(itertools.islice(rows, _CHUNK)):
        connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", part)  # noqa: S608 - names of ours


def _copy(connection: Connection, table: Table, rows: Iterator[Values]) -> None:
    """PostgreSQL's fast way in."""
    place = list(table.columns.keys()).index("created_at")
    cursor = connection.connection.cursor()
    with cursor.copy(f"COPY {table.name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row((*row[:place], datetime.fromtimestamp(row[place], UTC), *row[place + 1 :]))
