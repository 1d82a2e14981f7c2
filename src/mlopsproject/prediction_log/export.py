"""The prediction log as a table for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection, Row, func, select

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.files import atomic_file
from mlopsproject.core.tables import check_suffix, open_table
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import latest_label, within
from mlopsproject.prediction_log.tables import Moment, predictions

#: Columns in front of the probabilities, with their types.
_COLUMNS: Final = {
    column.name: datetime if isinstance(column.type, Moment) else column.type.python_type
    for column in predictions.columns
    if column.name != "probabilities"
}
#: Rows that are held at a time.
_CHUNK: Final = 2000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows to export.

    Attributes:
        since: first moment.
        until: first moment that is not included any more.
        model_version: of one model only.
    """

    since: datetime | None = None
    until: datetime | None = None
    model_version: str | None = None

    def __str__(self) -> str:
        parts = [f"since={self.since}"] if self.since else []
        parts += [f"until={self.until}"] if self.until else []
        parts += [f"model_version={self.model_version}"] if self.model_version else []
        return ", ".join(parts)


@dataclass
class ExportResult:
    """What an export wrote.

    Attributes:
        output: the table.
        rows: in it.
        with_feedback: rows that somebody gave feedback to.
        classes: that have a column of probabilities.
    """

    output: Path
    rows: int
    with_feedback: int
    classes: list[str]


def export(database: Database, output: Path, selection: Selection, *, progress: bool = True) -> ExportResult:
    """Write rows of the log into a table, oldest first; memory does not grow with their number.

    The columns are the row's fields, `p_<class>` for each class that occurs, and `feedback`, the newest label that
    somebody gave. The table appears when it is complete and replaces an older one.

    Args:
        database: to read.
        output: a `.csv` or `.parquet` file.
        selection: which rows.
        progress: show a progress bar on the terminal.

    Raises:
        ConfigError: if `output` is neither CSV nor Parquet, or is a folder.
        DataError: if there is no such row.
        LogUnavailable: if the database cannot be asked.
        UserError: for a full disk or a folder that cannot be written.
    """
    check_suffix(output.suffix)
    if output.is_dir():
        raise ConfigError(f"output={output} is a folder.", "Give the name of a file.")
    database.check()
    with database.transaction() as connection:
        if not database.is_sqlite:
            # All that follows sees the same rows, whatever arrives meanwhile.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        condition = within(selection.since, selection.until, selection.model_version)
        total = connection.scalar(select(func.count()).select_from(predictions).where(condition)) or 0
        if not total:
            raise DataError(f"The prediction log holds no row{f' of {selection}' if str(selection) else ''}.")
        classes = _classes(connection, selection)
        with atomic_file(output) as temporary:
            rows, with_feedback = _write(connection, selection, classes, temporary, output.suffix, total, progress)
    return ExportResult(output, rows, with_feedback, classes)


def _classes(connection: Connection, selection: Selection) -> list[str]:
    """Every class of the models that occur; all rows of a model have the same ones."""
    condition = within(selection.since, selection.until, selection.model_version)
    found: set[str] = set()
    for version in connection.scalars(select(predictions.c.model_version).where(condition).distinct()).all():
        own = within(selection.since, selection.until, version)
        found.update(connection.scalars(select(predictions.c.probabilities).where(own).limit(1)).one())
    return sorted(found)


def _write(
    connection: Connection,
    selection: Selection,
    classes: list[str],
    path: Path,
    suffix: str,
    total: int,
    progress: bool,
) -> tuple[int, int]:
    """Stream the rows into a table, and give how many there were, and how many with feedback."""
    kinds = {**_COLUMNS, **{f"p_{name}": float for name in classes}, "feedback": str}
    query = (
        select(predictions, latest_label().label("feedback"))
        .where(within(selection.since, selection.until, selection.model_version))
        .order_by(predictions.c.created_at, predictions.c.prediction_id)
    )
    found = connection.execution_options(yield_per=_CHUNK).execute(query)
    rows = with_feedback = 0
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        open_table(path, list(kinds), suffix, kinds) as table,
        Progress(*columns, console=Console(stderr=True), disable=not progress) as bar,
    ):
        task = bar.add_task("Exporting", total=total)
        for chunk in found.partitions():
            table.write([_values(row, classes) for row in chunk])
            rows += len(chunk)
            with_feedback += sum(row.feedback is not None for row in chunk)
            bar.update(task, completed=rows)
    return rows, with_feedback


def _values(row: Row[Any], classes: list[str]) -> tuple[Any, ...]:
    values = row._mapping
    probabilities = values["probabilities"]
    return (*(values[name] for name in _COLUMNS), *(probabilities.get(name) for name in classes), values["feedback"])
