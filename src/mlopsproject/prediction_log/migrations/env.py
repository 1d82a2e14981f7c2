"""What Alembic runs: the revisions, on the connection that `prediction_log.migrate` gives."""

from __future__ import annotations

from alembic import context

from mlopsproject.prediction_log.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # SQLite can roll back changes of the schema, too, once its driver lets it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
