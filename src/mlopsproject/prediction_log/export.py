"""The prediction log as a table for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import ColumnElement, Connection, Row, func, select

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
    """Which rows to export: from `since` on, before `until`, of one model only. `None` does not restrict them."""

    since: datetime | None = None
    until: datetime | None = None
    model_version: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in asdict(self).items() if value)


@dataclass
class ExportResult:
    """What an export wrote: the table, its rows, and the classes that have a column of probabilities."""

    output: Path
    rows: int
    with_feedback: int
    classes: list[str]


def export(database: Database, output: Path, selection: Selection, *, progress: bool = True) -> ExportResult:
    """Write rows of the log into a table, oldest first; memory does not grow with their number.

    The columns are the row's fields, `p_<class>` for each class that occurs, and `feedback`, the newest label that
    somebody gave. The table appears when it is complete and replaces an older one; meanwhile there is a progress bar.

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
        classes = _classes(connection, condition)
        columns = {**_COLUMNS, **{f"p_{name}": float for name in classes}, "feedback": str}
        result = ExportResult(output, 0, 0, classes)
        with atomic_file(output) as temporary, open_table(temporary, list(columns), output.suffix, columns) as table:
            for chunk in _chunks(connection, condition, total, progress):
                table.write([_values(row, classes) for row in chunk])
                result.rows += len(chunk)
                result.with_feedback += sum(row.feedback is not None for row in chunk)
    return result


def _classes(connection: Connection, condition: ColumnElement[bool]) -> list[str]:
    """Every class of the models that occur; all rows of a model have the same ones."""
    found: set[str] = set()
    for version in connection.scalars(select(predictions.c.model_version).where(condition).distinct()).all():
        own = select(predictions.c.probabilities).where(condition, predictions.c.model_version == version).limit(1)
        found.update(connection.scalars(own).one())
    return sorted(found)


def _chunks(
    connection: Connection, condition: ColumnElement[bool], total: int, progress: bool
) -> Iterator[Sequence[Row[Any]]]:
    """The rows with their newest label, the oldest first; shows how many of the `total` have been taken."""
    query = select(predictions, latest_label().label("feedback")).where(condition)
    query = query.order_by(predictions.c.created_at, predictions.c.prediction_id)
    with Progress(console=Console(stderr=True), disable=not progress) as shown:
        task = shown.add_task("Exporting", total=total)
        for chunk in connection.execution_options(yield_per=_CHUNK).execute(query).partitions():
            yield chunk
            shown.advance(task, len(chunk))


def _values(row: Row[Any], classes: list[str]) -> tuple[Any, ...]:
    values = row._mapping
    probabilities = values["probabilities"]
    return (*(values[name] for name in _COLUMNS), *(probabilities.get(name) for name in classes), values["feedback"])
