"""FER2013's CSV: columns `emotion`, `pixels` and perhaps `Usage` in any order, separated by `,`, `;` or tabs."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.classes import SEVEN
from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import SPLIT_NAMES, USUAL_NAMES, ClassNames, unknown_class

#: Longest CSV field read: the pixels of a 1024 x 1024 picture fit.
_MAX_FIELD = 4_200_000
_DELIMITERS = (",", ";", "\t")
#: A whole number, also as programs write it that take labels for floats: `3`, `3.0`, `3,0`.
_WHOLE = re.compile(r"([0-9]{1,3})(?:[.,]0*)?")


def fer_delimiter(head: bytes) -> str | None:
    """What separates the columns of a file that begins with `head`; ``None`` without `emotion` and `pixels`."""
    first_line = next(iter(head.decode("utf-8-sig", "replace").splitlines()), "")
    for delimiter in _DELIMITERS:
        if {"emotion", "pixels"} <= {name.strip().strip('"').lower() for name in first_line.split(delimiter)}:
            return delimiter
    return None


def read_rows(stream: IO[bytes], path: str, names: ClassNames = USUAL_NAMES, delimiter: str = ",") -> Iterator[Item]:
    """Read a FER-style CSV row by row; the first row after the header is `path#row=1`.

    A row with missing columns comes back with a `reason`; the pixel values are checked when they are decoded.

    Args:
        stream: the CSV's bytes.
        path: the CSV's path relative to the source.
        names: which labels mean which class; digits 0-6, also as `3.0`, are FER2013's own order.
        delimiter: between columns.

    Raises:
        DataError: a row names an unknown class or split, or the CSV cannot be parsed.
    """
    csv.field_size_limit(max(_MAX_FIELD, csv.field_size_limit()))
    reader = csv.reader(_lines(stream, path), skipinitialspace=True, delimiter=delimiter)
    try:
        header = next(reader)
        columns = {name.strip("\ufeff ").lower(): index for index, name in enumerate(header)}
        for number, row in enumerate(reader, start=1):
            yield _row_item(row, columns, f"{path}#row={number}", names)
    except csv.Error as error:
        raise DataError(f"{path} is not a readable CSV ({error}).") from error


def _lines(stream: IO[bytes], path: str) -> Iterator[str]:
    # Not io.TextIOWrapper: it asks whether the stream can seek, which a tar stream cannot answer.
    while line := stream.readline(2 * _MAX_FIELD):
        if len(line) == 2 * _MAX_FIELD:
            raise DataError(f"{path} is not a readable CSV (a line of more than {len(line):,} bytes).")
        yield line.decode("utf-8", "replace").replace("\0", "")


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


def _row_item(row: list[str], columns: dict[str, int], path: str, names: ClassNames) -> Item:
    if len(row) < len(columns):
        return Item(path, reason="malformed_row", detail=f"{len(row)} columns instead of {len(columns)}")
    emotion = row[columns["emotion"]].strip()
    whole = _WHOLE.fullmatch(emotion)
    name = str(int(whole[1])) if whole else emotion
    if whole and name not in dict(names.label_map) and int(name) < len(SEVEN):
        name = SEVEN[int(name)]
    found = names.find(name)
    if found is None:
        raise unknown_class(emotion, f"emotion of {path}", names)
    usage = row[columns["usage"]].strip() if "usage" in columns else ""
    split = SPLIT_NAMES.get(usage.lower(), "")
    if usage and not split:
        raise DataError(f"Unknown Usage {usage!r} ({path}).", "Known: Training, PublicTest, PrivateTest.")
    return Item(path, found.label, split, row[columns["pixels"]], "pixels", found.reason, found.detail, found.mapped)
