"""The tables of the prediction log. Migrations make them; a test compares the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from mlopsproject.prediction_log.rows import PredictionRow, Row

#: Revision of the newest migration, which these tables are. Revisions sort as text.
HEAD: Final = "0003"
#: Where the revision of a database is kept; not Alembic's usual name, so that the database can be shared.
VERSION_TABLE: Final = "prediction_log_version"


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, time zone aware: `timestamptz` in PostgreSQL; Unix seconds in SQLite, which has no such type."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of a database."""
        return Double() if dialect.name == "sqlite" else DateTime(timezone=True)

    def process_bind_param(self, value: datetime | float | None, dialect: Dialect) -> Any:
        """Take a moment, or Unix seconds."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return value.timestamp() if isinstance(value, datetime) else float(value)
        return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Give a moment."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


metadata = MetaData()

predictions = Table(
    "predictions",
    metadata,
    Column("prediction_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("predicted", Text, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("uncertain", Boolean, nullable=False),
    Column("probabilities", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Column("face_search", Text, nullable=False),
    Column("box_x", Integer),
    Column("box_y", Integer),
    Column("box_width", Integer),
    Column("box_height", Integer),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("brightness", Double, nullable=False),
    Column("contrast", Double, nullable=False),
    Column("sharpness", Double, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Index("ix_predictions_created_at", "created_at"),
    # All that statistics over time count, so that they never look at the rows themselves.
    Index("ix_predictions_by_class", "model_version", "predicted", "created_at", "uncertain", "confidence"),
)

# No foreign key: feedback may arrive before its prediction, or after that was pruned, and is kept all the same.
feedback = Table(
    "feedback",
    metadata,
    Column("feedback_id", Text, primary_key=True),
    Column("prediction_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_feedback_prediction_id", "prediction_id"),
    Index("ix_feedback_created_at", "created_at"),
)

#: Rows that a server did not take; they stay in their own table, and count as refused until they are deleted there or
#: here. In the database of this machine only.
refused = Table(
    "refused",
    metadata,
    Column("row_id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("refused_at", Moment, nullable=False),
)

BOX: Final = ("box_x", "box_y", "box_width", "box_height")
_PLAIN: Final = tuple(part.name for part in fields(PredictionRow) if part.name != "box")
#: A table, and a value for each of its columns.
Record = tuple[Table, dict[str, Any]]


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
    box = tuple(record[name] for name in BOX)
    return PredictionRow(
        **{**values, "created_at": values["created_at"].timestamp(), "box": None if None in box else box}
    )
