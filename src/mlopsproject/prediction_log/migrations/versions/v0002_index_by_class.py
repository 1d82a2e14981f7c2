"""An index with all that statistics over time count, in place of the one on the model alone."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Exchange the indexes."""
    columns = ["model_version", "predicted", "created_at", "uncertain", "confidence"]
    op.create_index("ix_predictions_by_class", "predictions", columns)
    op.drop_index("ix_predictions_model_version", "predictions")
