"""The prediction log: every answer as a row, spooled durably, drained into a database."""
