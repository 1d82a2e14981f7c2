"""On SQLite, the table of rows that a server did not take."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table; a server has no use for it."""
    if op.get_bind().dialect.name == "sqlite":
        op.create_table(
            "refused",
            sa.Column("row_id", sa.Text, primary_key=True),
            sa.Column("reason", sa.Text, nullable=False),
            sa.Column("refused_at", sa.Double, nullable=False),
        )
