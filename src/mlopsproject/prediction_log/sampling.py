"""Rows of the log for statistics: a bounded number of them, drawn at random where there are more."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from mlopsproject.core.errors import DataError
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import latest_label, within
from mlopsproject.prediction_log.tables import feedback, predictions

#: What is read of every row.
COLUMNS: Final = (
    "predicted",
    "confidence",
    "brightness",
    "contrast",
    "sharpness",
    "width",
    "height",
    "box_width",
    "box_height",
    "probabilities",
)


def sample_rows(
    database: Database,
    model_version: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    *,
    probabilities: bool = False,
) -> dict[str, list[Any]]:
    """Rows of one model, all of them or a random sample.

    Args:
        database: to ask.
        model_version: name of the bundle that answered.
        since: beginning, with a time zone.
        until: end, not included, with a time zone.
        limit: rows at most.
        probabilities: read them, too.

    Returns:
        The values by column: `COLUMNS`, and `label`, the newest feedback or `None`.

    Raises:
        DataError: if there is no such row, saying what there is.
        LogUnavailable: if the database cannot be asked.
    """
    database.check()
    condition = within(since, until, model_version)
    wanted = [predictions.c[name] for name in COLUMNS if probabilities or name != "probabilities"]
    with database.transaction() as connection:
        total = connection.scalar(select(func.count()).select_from(predictions).where(condition)) or 0
        if not total:
            raise _no_rows(connection, model_version, since, until)
        query: Select[Any] = select(*wanted, latest_label().label("label")).where(condition)
        if total > limit:
            # The digits are random, so that their order is a random one. In a function, or SQLite would walk through
            # the whole table in their order instead of sorting what it needs.
            query = query.order_by(func.lower(predictions.c.prediction_id)).limit(limit)
        rows = connection.execute(query).all()
    return {
        name: list(values) for name, values in zip(query.selected_columns.keys(), zip(*rows, strict=True), strict=True)
    }


def labelled_rows(
    database: Database, model_version: str, since: datetime | None, until: datetime | None, limit: int
) -> dict[str, list[Any]]:
    """The answers of one model that people gave feedback to, the newest first.

    Args:
        database: to ask.
        model_version: name of the bundle that answered.
        since: beginning of the answers' time, with a time zone.
        until: its end, not included, with a time zone.
        limit: rows at most, the newest.

    Returns:
        The values by column: `COLUMNS` without the probabilities, and `label`, the newest feedback.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    names = [name for name in COLUMNS if name != "probabilities"]
    # From the feedback to its answers: there is far less of it.
    has_label = predictions.c.prediction_id.in_(select(feedback.c.prediction_id))
    query = (
        select(*(predictions.c[name] for name in names), latest_label().label("label"))
        .where(within(since, until, model_version), has_label)
        .order_by(predictions.c.created_at.desc())
        .limit(limit)
    )
    with database.transaction() as connection:
        rows = connection.execute(query).all()
    return {name: [row._mapping[name] for row in rows] for name in (*names, "label")}


def _no_rows(connection: Connection, model_version: str, since: datetime | None, until: datetime | None) -> DataError:
    """The error for a log without rows of a model, naming those of other models."""
    query = select(predictions.c.model_version, func.count().label("rows")).where(within(since, until))
    found = connection.execute(query.group_by(predictions.c.model_version).order_by(func.count().desc())).all()
    span = (f" since {since:%Y-%m-%d %H:%M} UTC" if since else "") + (
        f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
    )
    if not found:
        return DataError(
            f"The prediction log holds no row{span}.", "Serve some pictures first, or give an earlier since=."
        )
    others = ", ".join(f"{row.model_version} ({row.rows:,})" for row in found[:5])
    return DataError(
        f"The prediction log holds no row of {model_version}{span}, only of {others}.",
        f"Compare with the bundle that answered: bundle={found[0].model_version}",
    )
