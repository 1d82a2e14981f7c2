"""Tracks faces across the frames of a clip and smooths their probabilities over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.schemas import Box

#: Smallest intersection over union (IoU) with a track's last box for a face to continue the track.
_MIN_OVERLAP: Final = 0.3
#: A track ends when its face has not been detected for this many seconds.
_MAX_GAP: Final = 1.0


@dataclass(eq=False)
class Track:
    """One face over the frames of a clip.

    Attributes:
        number: in the order of appearance, from 0.
        box: its last position; ``None`` for the whole frame.
        seen: time of its last detection, in seconds.
    """

    number: int
    box: Box | None
    seen: float
    _smooth: NDArray[np.float64] | None = field(default=None, init=False)
    _at: float = field(default=0.0, init=False)

    def smooth(self, probabilities: NDArray[np.float64], time: float, constant: float) -> NDArray[np.float64]:
        """Update the exponential moving average with the next frame's probabilities.

        The weight of the previous average is exp(-elapsed time / `constant`), so that skipped frames and uneven frame
        rates make no difference.

        Args:
            probabilities: float64 `[K]`.
            time: of the frame, in seconds, not before the last.
            constant: time constant in seconds; 0 turns smoothing off.

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
    """Matches faces between frames by their position; a face that moves too far or was away starts a new track."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next_number = 0
        self._last = 0.0

    def follow(self, boxes: Sequence[Box | None], time: float) -> list[Track]:
        """Assign the faces of the next frame to tracks.

        Args:
            boxes: faces of the frame, matched in this order; ``None`` for the whole frame.
            time: of the frame, in seconds.

        Returns:
            The track of each box, in the same order.
        """
        # Tracks of the previous frame are kept however long ago it was: frames may have been skipped.
        oldest = min(time - _MAX_GAP, self._last)
        self._tracks = [track for track in self._tracks if track.seen >= oldest]
        self._last = time
        free, chosen = list(self._tracks), []
        for box in boxes:
            best = max(free, key=lambda track: _overlap(track.box, box), default=None)
            if best is not None and _overlap(best.box, box) >= _MIN_OVERLAP:
                free.remove(best)
                best.box, best.seen = box, time
            else:
                best = Track(self._next_number, box, time)
                self._next_number += 1
                self._tracks.append(best)
            chosen.append(best)
        return chosen


def _overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union; 1 for two whole frames, 0 for a whole frame and a box."""
    if one is None or other is None:
        return float(one is other)
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
