"""Retention: old rows are deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, func, select

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.tables import feedback, predictions

#: Rows per transaction: few enough that the drainer hardly waits.
_BATCH: Final = 2000


@dataclass
class PruneResult:
    """Rows that were deleted, or would be: predictions with their feedback, and feedback to none that is as old."""

    predictions: int = 0
    feedback: int = 0


def count_prunable(database: Database, before: datetime) -> PruneResult:
    """Count what `prune` would delete.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    database.check()
    old = predictions.c.created_at < before
    of_old = exists().where(predictions.c.prediction_id == feedback.c.prediction_id, old)
    with database.transaction() as connection:
        rows = connection.scalar(select(func.count()).select_from(predictions).where(old))
        theirs = connection.scalar(select(func.count()).select_from(feedback).where(of_old | _left_over(before)))
    return PruneResult(rows or 0, theirs or 0)


def prune(database: Database, before: datetime) -> PruneResult:
    """Delete the rows that are older than `before`, with their feedback, in small transactions.

    Raises:
        LogUnavailable: if the database cannot be used.
    """
    database.check()
    result = PruneResult()
    oldest = (
        select(predictions.c.prediction_id)
        .where(predictions.c.created_at < before)
        .order_by(predictions.c.created_at, predictions.c.prediction_id)
        .limit(_BATCH)
    )
    deleted = _BATCH
    while deleted == _BATCH:
        with database.transaction() as connection:
            result.feedback += connection.execute(delete(feedback).where(feedback.c.prediction_id.in_(oldest))).rowcount
            deleted = connection.execute(delete(predictions).where(predictions.c.prediction_id.in_(oldest))).rowcount
        result.predictions += deleted
    with database.transaction() as connection:
        result.feedback += connection.execute(delete(feedback).where(_left_over(before))).rowcount
    return result


def _left_over(before: datetime) -> ColumnElement[bool]:
    """Old feedback to answers that the database does not have."""
    return (feedback.c.created_at < before) & ~exists().where(predictions.c.prediction_id == feedback.c.prediction_id)
