"""Rows that the database is asked for, and how they are chosen."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, select, true

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.rows import PredictionRow
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import feedback, predictions, to_prediction


def within(since: datetime | None, until: datetime | None, model_version: str | None = None) -> ColumnElement[bool]:
    """The condition on `predictions` that `since <= created_at < until`, and the model is the one named, if any."""
    conditions: list[ColumnElement[bool]] = [true()]
    if since is not None:
        conditions.append(predictions.c.created_at >= since)
    if until is not None:
        conditions.append(predictions.c.created_at < until)
    if model_version is not None:
        conditions.append(predictions.c.model_version == model_version)
    return and_(*conditions)


def latest_label() -> ScalarSelect[str]:
    """The newest feedback to a row of `predictions`."""
    return (
        select(feedback.c.label)
        .where(feedback.c.prediction_id == predictions.c.prediction_id)
        .order_by(feedback.c.created_at.desc(), feedback.c.feedback_id.desc())
        .limit(1)
        .scalar_subquery()
    )


def count_waiting(settings: LogSettings) -> int:
    """How many rows of this machine wait for the database server, with those that it refused.

    Raises:
        LogUnavailable: if this machine's database cannot be asked.
    """
    if not settings.has_queue or not Path(str(settings.local_url.database)).is_file():
        return 0
    database = Database(settings.local_url)
    try:
        with database.transaction() as connection:
            tables = (predictions, feedback)
            return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    finally:
        database.close()


def find(database: Database, prediction_id: str) -> PredictionRow | None:
    """The row of an answer.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    query = select(predictions).where(predictions.c.prediction_id == prediction_id)
    with database.transaction() as connection:
        record = connection.execute(query).mappings().one_or_none()
    return to_prediction(dict(record)) if record is not None else None
