"""Writes tables of predictions row by row to CSV or Parquet, in constant memory."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mlopsproject.core.errors import ConfigError, UserError

Row = tuple[Any, ...]
TABLE_SUFFIXES: Final = (".csv", ".parquet")
#: Rows per Parquet row group: large enough to compress well, small enough to keep in memory.
_GROUP: Final = 16_384


class TableWriter(Protocol):
    """An open table to which rows are appended."""

    def write(self, rows: list[Row]) -> None:
        """Append rows of one value per column."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class CsvWriter:
    """Writes CSV for spreadsheets and pandas: UTF-8, quoted where needed, `true`/`false`, floats in full precision."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: list[Row]) -> None:
        """Append rows."""
        self._writer.writerows(
            [str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


class ParquetWriter:
    """Writes Parquet in row groups; column types are inferred from the first group unless `kinds` names them."""

    def __init__(self, path: Path, columns: list[str], kinds: Mapping[str, type] | None = None) -> None:
        try:
            import pyarrow.parquet as pq
        except ImportError as error:
            fix = "Install the extra 'data': pip install 'mlopsproject[data]'; or write a .csv."
            raise UserError("Parquet needs the package pyarrow, which is not installed.", fix) from error
        self._parquet = pq
        self._path = path
        self._columns = columns
        self._kinds = kinds or {}
        self._rows: list[Row] = []
        self._file: Any = None

    def write(self, rows: list[Row]) -> None:
        """Append rows."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        types: dict[type | None, Any] = {
            str: pa.string(),
            int: pa.int64(),
            float: pa.float64(),
            bool: pa.bool_(),
            datetime: pa.timestamp("us", tz="UTC"),
        }
        columns = zip(self._columns, zip(*self._rows, strict=True), strict=True)
        table = pa.table({name: pa.array(values, types.get(self._kinds.get(name))) for name, values in columns})
        if self._file is None:
            self._file = self._parquet.ParquetWriter(self._path, table.schema, compression="zstd")
        self._file.write_table(table)
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        if self._file is not None:
            self._file.close()


def open_table(path: Path, columns: list[str], suffix: str, kinds: Mapping[str, type] | None = None) -> TableWriter:
    """Open a table for writing.

    Args:
        path: of the file.
        columns: their names.
        suffix: `.csv` or `.parquet`; decides the format, whatever `path` ends in.
        kinds: column → `str`, `int`, `float`, `bool` or `datetime`, if its first values may all be missing.

    Raises:
        ConfigError: for another suffix.
        UserError: for Parquet without pyarrow.
    """
    check_suffix(suffix)
    return CsvWriter(path, columns) if suffix.lower() == ".csv" else ParquetWriter(path, columns, kinds)


def check_suffix(suffix: str) -> None:
    """Check that the suffix of a table is supported.

    Raises:
        ConfigError: for anything but `.csv` and `.parquet`.
    """
    if suffix.lower() not in TABLE_SUFFIXES:
        raise ConfigError(f"output ends in {suffix or 'nothing'!r}.", "Use a name that ends in .csv or .parquet.")
