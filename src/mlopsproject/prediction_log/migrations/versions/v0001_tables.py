"""The tables `predictions` and `feedback`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# SQLite has no type for moments: Unix seconds.
_MOMENT: sa.types.TypeEngine[Any] = sa.Double().with_variant(sa.DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("precision", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("predicted", sa.Text, nullable=False),
        sa.Column("confidence", sa.Double, nullable=False),
        sa.Column("uncertain", sa.Boolean, nullable=False),
        sa.Column("probabilities", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("face_search", sa.Text, nullable=False),
        sa.Column("box_x", sa.Integer),
        sa.Column("box_y", sa.Integer),
        sa.Column("box_width", sa.Integer),
        sa.Column("box_height", sa.Integer),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("brightness", sa.Double, nullable=False),
        sa.Column("contrast", sa.Double, nullable=False),
        sa.Column("sharpness", sa.Double, nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
    )
    op.create_index("ix_predictions_created_at", "predictions", ["created_at"])
    op.create_index("ix_predictions_model_version", "predictions", ["model_version"])
    op.create_table(
        "feedback",
        sa.Column("feedback_id", sa.Text, primary_key=True),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
    )
    op.create_index("ix_feedback_prediction_id", "feedback", ["prediction_id"])
    op.create_index("ix_feedback_created_at", "feedback", ["created_at"])
