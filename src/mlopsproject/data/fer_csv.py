"""FER2013's CSV, in both header styles: `emotion,pixels,Usage` and `emotion, Usage, pixels`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.classes import SEVEN, canonical_class
from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import SPLIT_NAMES, unknown_class

#: Longest CSV field read: the pixels of a 1024 x 1024 picture fit.
_MAX_FIELD = 4_200_000


def is_fer_csv(head: bytes) -> bool:
    """Say whether a file that starts with `head` has columns `emotion` and `pixels`."""
    first_line = head.decode("utf-8-sig", "replace").splitlines()[:1]
    names = {name.strip().strip('"').lower() for line in first_line for name in line.split(",")}
    return {"emotion", "pixels"} <= names


def read_rows(stream: IO[bytes], path: str, own: Sequence[str] = ()) -> Iterator[Item]:
    """Read a FER-style CSV row by row; the first row after the header is `path#row=1`.

    A row with missing columns comes back with a `reason`; the pixel values are checked when they are decoded.

    Args:
        stream: the CSV's bytes.
        path: the CSV's path relative to the source.
        own: class names known besides the usual ones; digits 0-6 are FER2013's own order.

    Raises:
        DataError: a row names an unknown class or split, or the CSV cannot be parsed.
    """
    csv.field_size_limit(max(_MAX_FIELD, csv.field_size_limit()))
    # Not io.TextIOWrapper: it asks whether the stream can seek, which a tar stream cannot answer.
    lines = (line.decode("utf-8", "replace").replace("\0", "") for line in stream)
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        header = next(reader)
        columns = {name.strip("\ufeff ").lower(): index for index, name in enumerate(header)}
        for number, row in enumerate(reader, start=1):
            yield _row_item(row, columns, f"{path}#row={number}", own)
    except csv.Error as error:
        raise DataError(f"{path} is not a readable CSV ({error}).") from error


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


def _row_item(row: list[str], columns: dict[str, int], path: str, own: Sequence[str]) -> Item:
    if len(row) < len(columns):
        return Item(path, reason="malformed_row", detail=f"{len(row)} columns instead of {len(columns)}")
    emotion = row[columns["emotion"]].strip()
    digit = int(emotion) if emotion.isascii() and emotion.isdigit() else -1
    label = SEVEN[digit] if 0 <= digit < len(SEVEN) else canonical_class(emotion, own)
    if label is None:
        raise unknown_class(emotion, f"emotion of {path}", own)
    usage = row[columns["usage"]].strip() if "usage" in columns else ""
    split = SPLIT_NAMES.get(usage.lower(), "")
    if usage and not split:
        raise DataError(f"Unknown Usage {usage!r} ({path}).", "Known: Training, PublicTest, PrivateTest.")
    return Item(path, label, split, row[columns["pixels"]], "pixels")
