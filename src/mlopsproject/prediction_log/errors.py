"""What can be wrong with the prediction log."""

from __future__ import annotations

from mlopsproject.core.errors import TRY_AGAIN, UserError


class LogUnavailable(UserError):  # noqa: N818 - a state that callers wait out, named as they report it.
    """Rows cannot be kept, or the database cannot be asked, for now."""


class LogOff(LogUnavailable):
    """Nothing is kept, as the settings say; no waiting changes that."""


class DatabaseDown(LogUnavailable):
    """The database does not answer, or cannot be used as it is."""

    exit_code = TRY_AGAIN


class NotMigrated(LogUnavailable):
    """The database lacks the log's tables, or has those of an older version."""


class RowsRefused(LogUnavailable):
    """The database answers, but does not take these rows."""
