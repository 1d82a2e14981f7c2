"""FER2013's CSV: columns `emotion`, `pixels` and, if there is one, `Usage`, in any order, with any usual delimiter."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.classes import SEVEN
from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import DROPPED, SPLIT_NAMES, USUAL_LABELS, Labels

CSV_SUFFIXES: Final = (".csv", ".tsv")
#: Longest CSV field read: the pixels of a 1024 x 1024 picture fit.
_MAX_FIELD: Final = 4_200_000
#: Longest line: such a field, and others beside it.
_MAX_LINE: Final = 2 * _MAX_FIELD
_DELIMITERS: Final = (",", ";", "\t", "|")
_REQUIRED: Final = {"emotion", "pixels"}
_COLUMNS: Final = {*_REQUIRED, "usage"}
#: A class's number, also as programs write it that take it for a decimal: `3`, `3.0`, `3,00`.
_INDEX: Final = re.compile(r"0*([0-9]{1,9})(?:[.,]0*)?")
#: Numbers that are none of FER2013's: they get an explanation.
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]*)?")
#: What programs write where there is no value.
_MISSING: Final = {"", "nan", "none", "null"}
#: Characters of what is wrong that a message shows.
_SHOWN: Final = 60
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def find_delimiter(head: bytes, path: str, *, required: bool = False) -> str | None:
    """Say what separates the columns of a FER-style CSV.

    Args:
        head: the beginning of the file, with its whole first line.
        path: of the file, for messages.
        required: take nothing else for an answer.

    Returns:
        The delimiter, or ``None`` for another file: its first line does not name columns `emotion` and `pixels`.

    Raises:
        DataError: it names them, but not separated by a usual delimiter, or in UTF-16; with `required`, if it does not.
    """
    wide = head.startswith(_UTF_16)
    # Cut off, it may end in half a character.
    text = head.decode("utf-16" if wide else "utf-8-sig", "ignore" if wide else "replace")
    header = next(iter(text.splitlines()), "")
    for delimiter in _DELIMITERS:
        if set(_names(next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), []))) >= _REQUIRED:
            if wide:
                raise DataError(f"{path} is UTF-16 text.", "Save it as CSV in UTF-8.")
            return delimiter
    # Whatever separates them, columns of these names are meant.
    if required or set(_names(re.split(r"[^\w ]+", header))) >= _REQUIRED:
        raise DataError(
            f"{path} has a first line that does not name the columns emotion and pixels, between commas, "
            f"semicolons, tabs or bars: {header[:_SHOWN]!r}.",
            "Write it as in emotion,pixels,Usage.",
        )
    return None


def read_rows(stream: IO[bytes], path: str, delimiter: str = ",", labels: Labels = USUAL_LABELS) -> Iterator[Item]:
    """Read a FER-style CSV row by row; the first row after the header is `path#row=1`.

    A row with missing columns or without a label comes back with a `reason`; the pixel values are checked when they are
    decoded.

    Args:
        stream: the CSV's bytes.
        path: the CSV's path relative to the source.
        delimiter: between columns.
        labels: how labels are read; numbers 0-6 are FER2013's own order.

    Raises:
        DataError: a row names an unknown class or split, a column is there twice, or the CSV cannot be parsed.
    """
    csv.field_size_limit(max(_MAX_FIELD, csv.field_size_limit()))
    reader = csv.reader(_lines(stream, path), delimiter=delimiter, skipinitialspace=True)
    try:
        header = _names(next(reader))
        if twice := sorted(name for name in _COLUMNS if header.count(name) > 1):
            raise DataError(f"{path} has two columns {twice[0]!r}.", "Remove or rename one.")
        columns = {name: header.index(name) for name in _COLUMNS if name in header}
        for number, row in enumerate(reader, start=1):
            yield _row_item(row, columns, len(header), f"{path}#row={number}", labels)
    except csv.Error as error:
        raise DataError(
            f"{path} is not a readable CSV ({error}).", "Save it as UTF-8 with one row per line."
        ) from error


def _names(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _lines(stream: IO[bytes], path: str) -> Iterator[str]:
    # Not io.TextIOWrapper: it asks whether the stream can seek, which a tar stream cannot answer.
    for number, line in enumerate(iter(lambda: stream.readline(_MAX_LINE + 1), b""), start=1):
        if len(line) > _MAX_LINE:
            raise DataError(
                f"{path} has a line {number} of more than {_MAX_LINE:,} bytes.", "A row has the pixels of one picture."
            )
        # A byte order mark before a quoted name would make the quotes part of it.
        yield line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").replace("\0", "")


def parse_pixels(text: str) -> NDArray[np.uint8]:
    """Turn space-separated values into a square gray picture.

    Returns:
        uint8 `[side, side]`, 0-255.

    Raises:
        ImageError: `empty`, `not_an_image` (no numbers), `truncated` (not square), `unsupported` (not 0-255).
    """
    if not text.strip():
        raise ImageError("empty", "The row holds no pixels.")
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        raise ImageError("not_an_image", "The pixels are not whole numbers.") from None
    side = math.isqrt(values.size)
    if side * side != values.size:
        raise ImageError("truncated", f"{values.size} pixel values do not make a square picture.")
    if values.min() < 0 or values.max() > 255:
        raise ImageError("unsupported", "Pixel values lie outside 0-255.")
    return values.astype(np.uint8).reshape(side, side)


def _row_item(row: list[str], columns: Mapping[str, int], width: int, path: str, labels: Labels) -> Item:
    extra = any(text.strip() for text in row[width:])
    if extra or len(row) <= max(columns.values()):
        return Item(path, reason="malformed_row", detail=f"{len(row)} columns instead of {width}")
    emotion = row[columns["emotion"]].strip()
    found = _label_names(emotion)
    label = labels.class_of(found)
    if label == DROPPED:
        return Item(path, reason="dropped_label", detail=f"label_map leaves {emotion!r} out", found=found)
    if label is None:
        if emotion.lower() in _MISSING:
            return Item(path, reason="no_label", detail=f"emotion is {emotion!r}")
        raise _unknown_label(emotion, path, labels)
    usage = row[columns["usage"]].strip() if "usage" in columns else ""
    split = SPLIT_NAMES.get(usage.lower(), "")
    if usage and not split:
        raise DataError(f"Unknown Usage {usage[:_SHOWN]!r} ({path}).", "Known: Training, PublicTest, PrivateTest.")
    return Item(path, label, split, row[columns["pixels"]], "pixels", found=found)


def _label_names(emotion: str) -> tuple[str, ...]:
    """A label as the row has it; a number goes also by the name of FER2013's class, if there is one."""
    number = _INDEX.fullmatch(emotion)
    if not number:
        return (emotion,)
    index = int(number[1])
    return (str(index), SEVEN[index]) if index < len(SEVEN) else (str(index),)


def _unknown_label(emotion: str, path: str, labels: Labels) -> DataError:
    where = f"emotion of {path}"
    if not _NUMBER.fullmatch(emotion):
        return labels.unknown(emotion, where)
    numbers = ", ".join(f"{number} {name}" for number, name in enumerate(SEVEN))
    return DataError(
        f"Unknown class {emotion[:_SHOWN]!r} ({where}).",
        f"Known: {numbers}. Name what other numbers mean in label_map.",
    )
