"""Which faces of a clip belong together, and their probabilities smoothed over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.schemas import Box

#: Overlap (intersection over union) from which a face is taken for one of the frames before.
_SAME: Final = 0.3
#: Seconds that a face may be out of sight.
_PATIENCE: Final = 1.0


@dataclass(eq=False)
class Track:
    """One face through a clip.

    Attributes:
        number: in the order of appearance, from 0.
        box: where it was last; ``None`` for the whole frame.
        seen: when, in seconds.
    """

    number: int
    box: Box | None
    seen: float
    _smooth: NDArray[np.float64] | None = field(default=None, init=False)
    _at: float = field(default=0.0, init=False)

    def smooth(self, probabilities: NDArray[np.float64], time: float, constant: float) -> NDArray[np.float64]:
        """Take in the next frame's probabilities.

        A moving average that forgets exponentially: of what lies `constant` seconds back a share of 1/e is left. It
        takes the frames' times into account, so that left-out frames and uneven rates make no difference.

        Args:
            probabilities: float64 `[K]`.
            time: of the frame, in seconds, not before the last.
            constant: in seconds; 0 does not smooth.

        Returns:
            float64 `[K]`; sums to 1.
        """
        if self._smooth is None or constant == 0:
            self._smooth = probabilities
        else:
            kept = math.exp(-(time - self._at) / constant)
            self._smooth = kept * self._smooth + (1 - kept) * probabilities
        self._at = time
        return self._smooth


class Tracker:
    """Recognises faces from frame to frame by where they are; a face that jumps or was away counts as a new one."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._begun = 0
        self._last = 0.0

    def follow(self, boxes: Sequence[Box | None], time: float) -> list[Track]:
        """Say whose the faces of the next frame are.

        Args:
            boxes: of the frame, those that choose first in front; ``None`` for the whole frame.
            time: of the frame, in seconds.

        Returns:
            A track for each box.
        """
        # The frame before counts however long ago it was: frames may have been left out.
        oldest = min(time - _PATIENCE, self._last)
        self._tracks = [track for track in self._tracks if track.seen >= oldest]
        self._last = time
        free, chosen = list(self._tracks), []
        for box in boxes:
            best = max(free, key=lambda track: _overlap(track.box, box), default=None)
            if best is not None and _overlap(best.box, box) >= _SAME:
                free.remove(best)
                best.box, best.seen = box, time
            else:
                best = Track(self._begun, box, time)
                self._begun += 1
                self._tracks.append(best)
            chosen.append(best)
        return chosen


def _overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union; whole frames are the same."""
    if one is None or other is None:
        return float(one is other)
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
