"""Rows that the database is asked for, and how they are chosen."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, and_, func, select, true

from mlopsproject.core.errors import DataError
from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.rows import PredictionRow
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import feedback, predictions, to_prediction

#: What statistics over rows read of each, besides the newest label.
_COMPARED: Final = ("predicted", "confidence", *STATISTICS, "width", "height", "box_width", "box_height")


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


def find(database: Database, prediction_id: str) -> PredictionRow | None:
    """The row of an answer.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    query = select(predictions).where(predictions.c.prediction_id == prediction_id)
    with database.transaction() as connection:
        record = connection.execute(query).mappings().one_or_none()
    return to_prediction(dict(record)) if record is not None else None


def count_waiting(settings: LogSettings) -> int:
    """How many rows of this machine wait for the database server, with those that it refused.

    Raises:
        LogUnavailable: if this machine's database cannot be asked.
    """
    if not settings.has_queue or not Path(str(settings.local_url.database)).is_file():
        return 0
    with closing(Database(settings.local_url)) as database, database.transaction() as connection:
        return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in (predictions, feedback))


def sample_rows(
    database: Database,
    model_version: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    *,
    probabilities: bool = False,
) -> dict[str, list[Any]]:
    """Rows of one model: all of them, or where there are more than `limit`, so many drawn at random.

    Args:
        database: to ask.
        model_version: name of the bundle that answered.
        since: beginning, with a time zone.
        until: end, not included, with a time zone.
        limit: rows at most.
        probabilities: read them, too.

    Returns:
        The values by column: `predicted, confidence, brightness, contrast, sharpness, width, height, box_width,
        box_height`, and `label`, the newest feedback or `None`.

    Raises:
        DataError: if there is no such row, saying what there is.
        LogUnavailable: if the database cannot be asked.
    """
    database.check()
    condition = within(since, until, model_version)
    query = _compared(*["probabilities"] * probabilities).where(condition)
    with database.transaction() as connection:
        total = connection.scalar(select(func.count()).select_from(predictions).where(condition)) or 0
        if not total:
            raise _no_rows(connection, model_version, since, until)
        if total > limit:
            # The digits are random, so that their order is a random one. In a function, or SQLite would walk through
            # the whole table in their order instead of sorting what it needs.
            query = query.order_by(func.lower(predictions.c.prediction_id)).limit(limit)
        return _by_column(connection, query)


def labelled_rows(
    database: Database, model_version: str, since: datetime | None, until: datetime | None, limit: int
) -> dict[str, list[Any]]:
    """The answers of one model that people gave feedback to, the newest first, at most `limit` of them.

    Takes and gives the same as `sample_rows`, without probabilities; it may be no row.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    # From the feedback to its answers: there is far less of it.
    has_label = predictions.c.prediction_id.in_(select(feedback.c.prediction_id))
    query = _compared().where(within(since, until, model_version), has_label)
    with database.transaction() as connection:
        return _by_column(connection, query.order_by(predictions.c.created_at.desc()).limit(limit))


def _compared(*more: str) -> Select[Any]:
    return select(*(predictions.c[name] for name in (*_COMPARED, *more)), latest_label().label("label"))


def _by_column(connection: Connection, query: Select[Any]) -> dict[str, list[Any]]:
    found = connection.execute(query)
    names, rows = found.keys(), found.all()
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _no_rows(connection: Connection, model_version: str, since: datetime | None, until: datetime | None) -> DataError:
    """The error for a log without rows of a model, naming those of other models."""
    query = select(predictions.c.model_version, func.count().label("rows")).where(within(since, until))
    found = connection.execute(query.group_by(predictions.c.model_version).order_by(func.count().desc())).all()
    ends = {"since": since, "until": until}
    span = "".join(f" {name} {moment:%Y-%m-%d %H:%M} UTC" for name, moment in ends.items() if moment)
    if not found:
        fix = "Serve some pictures first, or give an earlier since=."
        return DataError(f"The prediction log holds no row{span}.", fix)
    others = ", ".join(f"{row.model_version} ({row.rows:,})" for row in found[:5])
    fix = f"Compare with the bundle that answered: bundle={found[0].model_version}"
    return DataError(f"The prediction log holds no row of {model_version}{span}, only of {others}.", fix)
