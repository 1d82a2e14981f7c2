"""What several raters said of a picture: read from a table of votes, and turned into labels.

A vote is for a class, or for one of `NO_CLASS`. The layout and the rules are those of FER+ (Barsoum et al., "Training
Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", 2016).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.classes import canonical_class, normal_name
from mlopsproject.core.errors import ConfigError, DataError, first_line, nearest
from mlopsproject.data.labelling import Labels
from mlopsproject.data.manifest import codes, column

LABELS: Final = ("given", "majority", "votes")
OTHER_VOTES: Final = ("uniform", "drop")
WITHOUT_VOTES: Final = ("drop", "given")
#: What raters may say besides a class, with its spellings.
NO_CLASS: Final = {"unknown": ("unknown", "unsure"), "not_face": ("nf", "not_face", "no_face", "not_a_face")}
_FILE_COLUMNS: Final = ("file", "path", "filename", "image")
#: Columns of FER+'s own table, whose lines stand for the rows of FER2013's CSV.
_FERPLUS_COLUMNS: Final = ("usage", "image name")
_DELIMITERS: Final = (",", ";", "\t", "|")
_ROW: Final = "#row="
_MOST_VOTES: Final = 1_000_000


@dataclass(frozen=True)
class LabelRule:
    """Which label a picture of several raters has; each field is the config key `data.` of that name.

    Attributes:
        labels: `given` takes the source's own label, `majority` what most raters said, `votes` teaches the raters'
            distribution and validates and tests on their majority.
        min_votes: fewer votes for a class than this do not count.
        majority: share of the votes that count which the majority must exceed, 0-1; a tie is none.
        other_votes: with `votes`, what votes for anything but the chosen classes do: `uniform` spreads them over these,
            so that a picture of something else is taught as none of them; `drop` leaves them out.
        without_votes: what becomes of pictures that nobody voted on: `drop` leaves them out, `given` takes the given
            label for unanimous.

    Raises:
        ConfigError: for a value that is not possible.
    """

    labels: str = "given"
    min_votes: int = 2
    majority: float = 0.5
    other_votes: str = "uniform"
    without_votes: str = "drop"

    def __post_init__(self) -> None:
        check_choice("data.labels", self.labels, LABELS)
        check_whole("data.min_votes", self.min_votes, lowest=1)
        check_number("data.majority", self.majority, lowest=0, highest=0.99)
        check_choice("data.other_votes", self.other_votes, OTHER_VOTES)
        check_choice("data.without_votes", self.without_votes, WITHOUT_VOTES)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> LabelRule:
        """The rule of a config's `data` group, or of an older record that lacks some of the keys."""
        return cls(**{key: data[key] for key in cls.__dataclass_fields__ if key in data})


#: The source's own labels.
GIVEN: Final = LabelRule()


@dataclass(frozen=True)
class Votes:
    """The votes on every picture of a data set.

    Attributes:
        names: what can be voted for: classes, and some of `NO_CLASS`.
        counts: int64 `[N, V]`, one row per picture; all 0 where nobody voted.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @cached_property
    def voted(self) -> NDArray[np.bool_]:
        """Which pictures have votes, `[N]`."""
        return np.asarray(self.counts.sum(axis=1) > 0)

    def kept(self, rule: LabelRule) -> NDArray[np.int64]:
        """The votes that count, `[N, V]`."""
        return np.where(self.counts >= rule.min_votes, self.counts, 0)

    def majority(self, rule: LabelRule) -> NDArray[np.int64]:
        """What most raters said: int64 `[N]`, index into `names`; -1 where there is no majority."""
        kept = self.kept(rule)
        if not kept.shape[1]:
            return np.full(len(kept), -1)
        top = kept.argmax(axis=1)
        most = kept.max(axis=1)
        alone = (kept == most[:, None]).sum(axis=1) == 1
        return np.where((most > rule.majority * kept.sum(axis=1)) & alone, top, -1)

    def distribution(self, rule: LabelRule, classes: Sequence[str]) -> NDArray[np.float32]:
        """The raters' distribution over some classes.

        Returns:
            float32 `[N, K]`; rows sum to 1, or are 0 where no vote is left.
        """
        kept = self.kept(rule)
        own = np.zeros((len(kept), len(classes)))
        for place, name in enumerate(classes):
            if name in self.names:
                own[:, place] = kept[:, self.names.index(name)]
        if rule.other_votes == "uniform":
            own += (kept.sum(axis=1) - own.sum(axis=1))[:, None] / len(classes)
        total = own.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = np.divide(own, total, out=np.zeros_like(own), where=total > 0)
        return shares.astype(np.float32)


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


def votes_of(manifest: pa.Table) -> Votes | None:
    """The votes on a data set's pictures; `None` if it has none.

    Args:
        manifest: with the column `votes`.
    """
    code, texts = codes(manifest, "votes")
    if not any(texts):
        return None
    parsed: list[dict[str, int]] = [json.loads(text) if text else {} for text in texts]
    names = tuple(dict.fromkeys(name for votes in parsed for name in votes))
    different = np.array([[votes.get(name, 0) for name in names] for votes in parsed], np.int64)
    return Votes(names, different[code])


def vote_facts(manifest: pa.Table, left_out: Sequence[str] = ()) -> dict[str, Any] | None:
    """What an import tells of the votes; `None` if there are none.

    Args:
        manifest: of the data set.
        left_out: columns of the table that are no class.

    Returns:
        `names` (what was voted for), `left_out`, `images` with votes, `without`, `votes` (the median of an image's),
        `majority` (images with one, by the usual rule) and `given_is_majority` (of these, whose own label it is).
    """
    votes = votes_of(manifest)
    if votes is None:
        return None
    majority = votes.majority(LabelRule())
    clear = majority >= 0
    said = np.array([*votes.names, ""], object)[majority]
    return {
        "names": list(votes.names),
        "left_out": list(left_out),
        "images": int(votes.voted.sum()),
        "without": int((~votes.voted).sum()),
        "votes": float(np.median(votes.counts.sum(axis=1)[votes.voted])),
        "majority": int(clear.sum()),
        "given_is_majority": int((said == column(manifest, "label"))[clear].sum()),
    }


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
