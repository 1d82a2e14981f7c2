"""Reading a table of votes: a line per picture, a column per answer; also FER+'s own."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from mlopsproject.core.classes import canonical_class, normal_name
from mlopsproject.core.errors import ConfigError, DataError, first_line, nearest
from mlopsproject.data.labelling import Labels
from mlopsproject.data.votes import NO_CLASS

_FILE_COLUMNS: Final = ("file", "path", "filename", "image")
#: Columns of FER+'s own table, whose lines stand for the rows of FER2013's CSV.
_FERPLUS_COLUMNS: Final = ("usage", "image name")
_DELIMITERS: Final = (",", ";", "\t", "|")
_ROW: Final = "#row="
_MOST_VOTES: Final = 1_000_000


@dataclass(frozen=True)
class VotesFile:
    """A table of votes as it was read.

    Attributes:
        given: as the user named it.
        names: what can be voted for.
        files: the picture of each line; `None` for FER+'s own table, whose lines stand for the rows of a CSV.
        counts: int64 `[L, V]`, one row per line.
        left_out: columns that are no class.
    """

    given: str
    names: tuple[str, ...]
    files: tuple[str, ...] | None
    counts: NDArray[np.int64]
    left_out: tuple[str, ...]

    def by_path(self, paths: Sequence[str]) -> dict[str, str]:
        """The votes of each picture that has some, as the manifest holds them.

        Args:
            paths: of every file of the source.

        Raises:
            DataError: if a line is about a file that the source lacks, or there are not as many lines as rows.
        """
        files = self.files if self.files is not None else self._rows(paths)
        known = set(paths)
        unknown = [place for place, file in enumerate(files) if file not in known]
        if unknown:
            first = files[unknown[0]]
            hint = nearest(first, paths) if len(paths) <= 100_000 else ""
            raise DataError(
                f"votes={self.given} names {len(unknown):,} file(s) that the source lacks; "
                f"the first is {first!r} in line {unknown[0] + 2}{'; ' + hint if hint else '.'}",
                "Write the column file as paths within the source, such as train/happy/1.jpg.",
            )
        return {
            file: json.dumps({name: n for name, n in zip(self.names, line, strict=True) if n}, separators=(",", ":"))
            for file, line in zip(files, self.counts.tolist(), strict=True)
            if any(line)
        }

    def _rows(self, paths: Sequence[str]) -> tuple[str, ...]:
        """The rows of the source's CSV that the lines of FER+'s own table stand for."""
        numbered = {path.rpartition(_ROW)[0] for path in paths if _ROW in path}
        if len(numbered) != 1 or len(paths) != len(self.counts):
            raise DataError(
                f"votes={self.given} has no column file; its {len(self.counts):,} lines would be those of FER2013's "
                f"CSV, but the source has {len(paths):,} files or rows.",
                "Name the pictures in a column file, or import fer2013.csv.",
            )
        return tuple(f"{next(iter(numbered))}{_ROW}{number}" for number in range(1, len(paths) + 1))


def read_votes(given: str, labels: Labels, votes_map: Mapping[str, str | None] | None = None) -> VotesFile:
    """Read a table of votes: a line per picture, a column per class with the number of raters who said so.

    Args:
        given: the CSV's path. Its column `file` names the pictures; FER+'s own table has none.
        labels: how names of columns are read.
        votes_map: columns and what to count them as: a class, or `None` to leave them out.

    Raises:
        ConfigError: if `votes_map` names a column that is not there, or something that cannot be voted for.
        DataError: if the table cannot be read, lacks columns, or holds no votes or what are none.
    """
    table = _read_table(Path(given).expanduser(), given)
    columns = {normal_name(name).replace("_", " "): name for name in table.column_names}
    file = next((columns[name] for name in _FILE_COLUMNS if name in columns), None)
    if file is None and not all(name in columns for name in _FERPLUS_COLUMNS):
        raise DataError(f"votes={given} has no column file.", f"Its columns: {_listed(table.column_names)}.")
    others = {file, *(columns.get(name) for name in _FERPLUS_COLUMNS)}
    meaning = _meaning([name for name in table.column_names if name not in others], labels, votes_map or {}, given)
    names = tuple(dict.fromkeys(name for name in meaning.values() if name))
    if len([name for name in names if name not in NO_CLASS]) < 2:
        raise DataError(
            f"votes={given} has columns of fewer than two known classes.",
            f"Its columns: {_listed(table.column_names)}. Say what they are with votes_map={{COLUMN: CLASS}}.",
        )
    counts = np.zeros((table.num_rows, len(names)), np.int64)
    for title, name in meaning.items():
        if name:
            counts[:, names.index(name)] += _whole_numbers(table.column(title).to_pylist(), title, given)
    if not counts.any():
        raise DataError(f"votes={given} holds no votes at all.", "Each cell is how many raters chose that class.")
    files = None if file is None else tuple(str(name).strip() for name in table.column(file).to_pylist())
    if files is not None:
        _check_once(files, given)
    return VotesFile(given, names, files, counts, tuple(name for name, read in meaning.items() if read is None))


def _read_table(path: Path, given: str) -> pa.Table:
    """The table, all of it as text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head = stream.readline()
        delimiter = max(_DELIMITERS, key=head.count)
        names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"votes={given} has two columns {twice[0]!r}.", "Remove or rename one.")
        return arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=names, skip_rows=1),
            arrow_csv.ParseOptions(delimiter=delimiter),
            arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except OSError as error:
        raise DataError(f"votes={given} cannot be read: {error.strerror or error}.", "Check the path.") from error
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"votes={given} is not a readable CSV ({first_line(error)}).", "Save it as UTF-8, a line per picture."
        ) from error


def _meaning(
    columns: Sequence[str], labels: Labels, votes_map: Mapping[str, str | None], given: str
) -> dict[str, str | None]:
    """What each column counts: a class or one of `NO_CLASS`; `None` for one that is left out."""
    asked = {normal_name(name): target for name, target in votes_map.items()}
    for name in asked.keys() - set(map(normal_name, columns)):
        hint = nearest(name, columns) or f"Columns there: {_listed(columns)}."
        raise ConfigError(f"votes_map names {name!r}, which is no column of votes={given};", hint)
    found: dict[str, str | None] = {}
    for title in columns:
        target = asked.get(normal_name(title), title)
        found[title] = None if target is None else _choice(target, labels)
        if target is not None and normal_name(title) in asked and found[title] is None:
            raise ConfigError(f"votes_map reads {title!r} as {target!r}, which is no known class.")
    return found


def _choice(name: str, labels: Labels) -> str | None:
    special = next((choice for choice, spellings in NO_CLASS.items() if normal_name(name) in spellings), None)
    return special or canonical_class(name, labels.own)


def _whole_numbers(cells: Sequence[str], title: str, given: str) -> NDArray[np.int64]:
    numbers = []
    for line, cell in enumerate(cells, start=2):
        try:
            number = float(cell) if cell.strip() else 0.0
        except ValueError:
            number = math.nan
        if not (0 <= number <= _MOST_VOTES and number.is_integer()):
            raise DataError(
                f"votes={given}, line {line}: {title} is {cell[:40]!r}.", "Votes are whole numbers of raters, from 0."
            )
        numbers.append(int(number))
    return np.array(numbers, np.int64)


def _check_once(files: Sequence[str], given: str) -> None:
    seen: set[str] = set()
    for line, file in enumerate(files, start=2):
        if file in seen:
            raise DataError(f"votes={given} names {file!r} twice, again in line {line}.", "Keep one line per picture.")
        seen.add(file)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:20])
    return f"{shown}, …" if len(names) > 20 else shown
