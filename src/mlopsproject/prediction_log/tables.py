"""The tables of the prediction log. Migrations make them; a test compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final, get_type_hints

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from mlopsproject.prediction_log.rows import PredictionRow, Row, Source

#: Revision of the newest migration, which these tables are. Revisions sort as text.
HEAD: Final = "0003"
#: Where the revision of a database is kept; not Alembic's usual name, so that the database can be shared.
VERSION_TABLE: Final = "prediction_log_version"


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC, time zone aware: `timestamptz` in PostgreSQL; Unix seconds in SQLite, which has no such type."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The column type of a database."""
        return sa.Double() if dialect.name == "sqlite" else sa.DateTime(timezone=True)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Take a moment, or Unix seconds."""
        if dialect.name == "sqlite":
            return value.timestamp() if isinstance(value, datetime) else float(value)
        return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Give a moment."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


BOX: Final = ("box_x", "box_y", "box_width", "box_height")
#: Per type of a prediction's fields the type of the columns that hold them.
_COLUMN_TYPES: Final[dict[Any, Any]] = {
    str: sa.Text,
    Source: sa.Text,
    float: sa.Double,
    int: sa.Integer,
    bool: sa.Boolean,
    dict[str, float]: sa.JSON().with_variant(JSONB(), "postgresql"),
}


def _prediction_columns() -> list[sa.Column[Any]]:
    columns: list[sa.Column[Any]] = []
    for name, kind in get_type_hints(PredictionRow).items():
        if name == "box":
            columns += [sa.Column(part, sa.Integer) for part in BOX]
        else:
            stored = Moment if name == "created_at" else _COLUMN_TYPES[kind]
            columns.append(sa.Column(name, stored, primary_key=name == "prediction_id", nullable=False))
    return columns


metadata = sa.MetaData()

predictions = sa.Table(
    "predictions",
    metadata,
    *_prediction_columns(),
    sa.Index("ix_predictions_created_at", "created_at"),
    # All that statistics over time count, so that they never look at the rows themselves.
    sa.Index("ix_predictions_by_class", "model_version", "predicted", "created_at", "uncertain", "confidence"),
)

# No foreign key: feedback may arrive before its prediction, or after that was pruned, and is kept all the same.
feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("feedback_id", sa.Text, primary_key=True),
    sa.Column("prediction_id", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("ix_feedback_prediction_id", "prediction_id"),
    sa.Index("ix_feedback_created_at", "created_at"),
)

#: Rows that a server did not take; they stay in their own table, and count as refused until they are deleted there or
#: here. In the database of this machine only.
refused = sa.Table(
    "refused",
    metadata,
    sa.Column("row_id", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("refused_at", Moment, nullable=False),
)

#: A table, and a value for each of its columns.
Record = tuple[sa.Table, dict[str, Any]]
_PLAIN: Final = tuple(part.name for part in fields(PredictionRow) if part.name != "box")


def to_record(row: Row) -> Record:
    """The table of a row, and its value per column."""
    if isinstance(row, PredictionRow):
        values = {name: getattr(row, name) for name in _PLAIN}
        values.update(zip(BOX, row.box or (None,) * 4, strict=True))
        return predictions, values
    return feedback, {part.name: getattr(row, part.name) for part in fields(row)}


def to_prediction(record: Mapping[str, Any]) -> PredictionRow:
    """The row that a record of the table `predictions` was made of, whatever other columns it has."""
    values = {name: record[name] for name in _PLAIN}
    values["created_at"] = values["created_at"].timestamp()
    box = tuple(record[name] for name in BOX)
    return PredictionRow(**values, box=None if None in box else box)
