"""Reading segments: whole, undamaged lines from a position on, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json

from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.lines import from_line
from mlopsproject.prediction_log.pacer import Pacer
from mlopsproject.prediction_log.rows import PredictionRow, from_document, is_newer, version_of
from mlopsproject.prediction_log.segments import list_segments

#: Bytes read at once. No line is nearly as long, so a stretch of this length without a newline is damaged.
CHUNK: Final = 1 << 20
#: Bytes of a spool in which an answer is looked for, the newest.
SEARCHED: Final = 64_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What follows a position in a segment.

    Attributes:
        documents: see `lines.from_line`, each with its line.
        damaged: lines that fail their checksum.
        end: position behind all of these.
        more: whether whole lines follow that were not read.
        newer: version of the row at `end`, if a newer version of the program wrote it; it is left where it is.
    """

    documents: list[tuple[bytes, dict[str, Any]]]
    damaged: list[bytes]
    end: int
    more: bool
    newer: int | None = None


def read_batch(path: Path, position: int, limit: int, *, chunk: int = CHUNK, pacer: Pacer | None = None) -> Batch:
    """Read whole lines; an unfinished one at the end of the file is left for later.

    Args:
        path: of a segment.
        position: where a line begins.
        limit: lines at most.
        chunk: bytes at most, more than any line has.
        pacer: how to go about it; by default without a rest.

    Raises:
        OSError: if the file cannot be read.
    """
    lines, tail = _whole_lines(path, position, chunk)
    if not lines and len(tail) == chunk:
        return Batch([], [tail], position + chunk, more=True)
    documents: list[tuple[bytes, dict[str, Any]]] = []
    damaged: list[bytes] = []
    end = position
    wanted = lines[:limit]
    for line in pacer.each(wanted) if pacer else wanted:
        document = from_line(line)
        if document is not None and is_newer(document):
            return Batch(documents, damaged, end, more=False, newer=version_of(document))
        end += len(line) + 1
        if document is None:
            damaged.append(line)
        else:
            documents.append((line, document))
    full = sum(map(len, lines)) + len(lines) + len(tail) == chunk
    return Batch(documents, damaged, end, more=full or len(lines) > limit)


def find_prediction(folder: Path, positions: Mapping[str, int], prediction_id: str) -> PredictionRow | None:
    """Look for an answer in the part of a spool that is not drained yet, newest segments first.

    Args:
        folder: of the spool.
        positions: up to where each segment is drained, by file name.
        prediction_id: of the answer.

    Raises:
        LogUnavailable: if it is not in the newest part, and there is more than can be searched at a time.
    """
    left = SEARCHED
    wanted = b'{"kind":"prediction","prediction_id":%b,' % to_json(prediction_id)
    for segment in reversed(list_segments(folder)):
        position = positions.get(segment.path.name, 0)
        left -= max(0, segment.size - position)
        if left < 0:
            raise LogUnavailable("Too many rows wait for the database to look for an answer among them.")
        while position < segment.size:
            try:
                lines, tail = _whole_lines(segment.path, position, CHUNK)
            except FileNotFoundError:
                # Drained meanwhile.
                break
            document = next((from_line(line) for line in lines if wanted in line), None)
            if document is not None and not is_newer(document):
                row = from_document(document)
                return row if isinstance(row, PredictionRow) else None
            if not lines and len(tail) < CHUNK:
                break
            position += sum(map(len, lines)) + len(lines) if lines else CHUNK
    return None


def _whole_lines(path: Path, position: int, chunk: int) -> tuple[list[bytes], bytes]:
    """The whole lines of a stretch, without their newlines, and what follows the last of them."""
    with path.open("rb", buffering=0) as stream:
        *lines, tail = os.pread(stream.fileno(), chunk, position).split(b"\n")
    return lines, tail
