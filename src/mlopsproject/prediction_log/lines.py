"""A row as one line of a spool segment: checksum, blank, JSON. Damage is always noticed."""

from __future__ import annotations

import zlib
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import from_json

from mlopsproject.prediction_log.rows import VERSION, FeedbackRow, PredictionRow, Row

#: Hex digits of the CRC-32 and the blank.
_PREFIX: Final = 9
_END: Final = b',"version":%d}' % VERSION
# Five times as fast as `to_document` and `json.dumps`.
_write_prediction = TypeAdapter(PredictionRow).serializer.to_json
_write_feedback = TypeAdapter(FeedbackRow).serializer.to_json


def to_line(row: Row) -> bytes:
    """A row as a line; its JSON is what `rows.to_document` says.

    Raises:
        PydanticSerializationError: for a value of a type that the row cannot hold.
    """
    if isinstance(row, PredictionRow):
        body = b'{"kind":"prediction",%b%b' % (_write_prediction(row, warnings="error")[1:-1], _END)
    else:
        body = b'{"kind":"feedback",%b%b' % (_write_feedback(row, warnings="error")[1:-1], _END)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def from_line(line: bytes) -> dict[str, Any] | None:
    """The document of a line.

    Args:
        line: with or without its newline.

    Returns:
        What `rows.from_document` takes, or `None` if the line is damaged.
    """
    body = line[_PREFIX:].removesuffix(b"\n")
    if line[:_PREFIX] != b"%08x " % zlib.crc32(body):
        return None
    try:
        document = from_json(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
