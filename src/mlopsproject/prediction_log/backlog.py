"""What the spool holds that is not drained yet."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlopsproject.prediction_log.segment_reader import read_batch
from mlopsproject.prediction_log.segments import Segment, list_segments

#: Bytes read to learn the time of a row; more than any row has.
_ENOUGH: Final = 64 * 1024


class Backlog:
    """Measures a spool; the time of its oldest row is read once and remembered.

    Args:
        folder: of the spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._times: dict[tuple[str, int], float | None] = {}

    def measure(self, positions: Mapping[str, int]) -> tuple[int, float | None]:
        """Bytes that are not drained, and the time at which the oldest row among them was made.

        Args:
            positions: up to where each segment is drained, by file name.
        """
        try:
            segments = list_segments(self._folder)
        except OSError:
            # Whoever writes and drains there says what is wrong.
            return 0, None
        pending = [
            (segment, positions.get(segment.path.name, 0))
            for segment in segments
            if segment.size > positions.get(segment.path.name, 0)
        ]
        by_worker = itertools.groupby(pending, key=lambda item: item[0].worker)
        oldest = [next(items) for _, items in by_worker]
        self._times = {
            key: self._times.get(key) or _created_at(*item) for item in oldest for key in [(item[0].path.name, item[1])]
        }
        times = [time for time in self._times.values() if time is not None]
        return sum(segment.size - position for segment, position in pending), min(times, default=None)


def _created_at(segment: Segment, position: int) -> float | None:
    """Time of the row at a position, if it is whole and still there."""
    try:
        batch = read_batch(segment.path, position, 1, chunk=_ENOUGH)
    except OSError:
        return None
    value = batch.documents[0][1].get("created_at") if batch.documents else None
    return float(value) if isinstance(value, int | float) else None
