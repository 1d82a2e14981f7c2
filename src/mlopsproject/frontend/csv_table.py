"""The table of a batch as CSV that programs read and spreadsheets open without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from mlopsproject.frontend.batch_run import FileRow

#: What makes a spreadsheet take a text for a formula, in the wide forms of East Asian keyboards too.
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Control characters that some spreadsheets drop before they look.
_CONTROL: Final = ("\t", "\r", "\n", "\0")


def to_csv(rows: Sequence[FileRow]) -> bytes:
    """Write a batch's table.

    Columns: `file, label, confidence, uncertain, p_<class>…, face_search, prediction_id, model_version, problem`. A
    file that could not be used has its `problem` and nothing else. `label` is the most probable class also where
    `uncertain` is true.

    Args:
        rows: one per file.

    Returns:
        UTF-8 with a byte order mark, which spreadsheets need, and lines that end in CR LF (RFC 4180).
    """
    names = classes(rows)
    stream = io.StringIO(newline="")
    table = csv.writer(stream)
    shares = [f"p_{name}" for name in names]
    head = ["file", "label", "confidence", "uncertain", *shares, "face_search"]
    table.writerow([*map(guarded, head), "prediction_id", "model_version", "problem"])
    for row in rows:
        table.writerow(_cells(row, names))
    return stream.getvalue().encode("utf-8-sig", "backslashreplace")


def classes(rows: Sequence[FileRow]) -> list[str]:
    """The classes of all answers, in the model's order; a batch may see the model change."""
    return list(dict.fromkeys(name for row in rows if row.result for name in row.result.probabilities))


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe goes before what looks like one.

    Args:
        text: of any origin.
    """
    return f"'{text}" if text.lstrip()[:1] in _FORMULA or text[:1] in _CONTROL else text


def _cells(row: FileRow, names: Sequence[str]) -> list[str]:
    answer = row.result
    if answer is None:
        return [guarded(row.file), *[""] * (len(names) + 6), guarded(row.reason)]
    shares = [answer.probabilities.get(name) for name in names]
    return [
        guarded(row.file),
        guarded(answer.predicted_emotion),
        f"{answer.confidence:.6f}",
        str(answer.uncertain).lower(),
        *("" if share is None else f"{share:.6f}" for share in shares),
        answer.face_search,
        guarded(answer.faces[0].prediction_id if answer.faces else ""),
        guarded(answer.model_version),
        "",
    ]
