"""Alembic migrations of the prediction log's tables."""
