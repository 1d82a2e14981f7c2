"""Faces keep their number from frame to frame, and their probabilities are smoothed by time, not by frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.tracks import Track, Tracker

LEFT, RIGHT = (0, 0, 50, 50), (200, 0, 60, 60)


def numbers(tracker: Tracker, boxes, time: float) -> list[int]:
    return [track.number for track in tracker.follow(boxes, time)]


def test_faces_that_move_a_little_stay_themselves_in_whatever_order_they_come() -> None:
    tracker = Tracker()
    assert numbers(tracker, [LEFT, RIGHT], 0.0) == [0, 1]
    assert numbers(tracker, [(205, 3, 58, 58), (4, 2, 52, 52)], 0.04) == [1, 0]


def test_a_face_somewhere_else_is_another_one() -> None:
    tracker = Tracker()
    assert numbers(tracker, [LEFT], 0.0) == [0]
    assert numbers(tracker, [RIGHT], 0.04) == [1]


def test_a_face_that_was_out_of_sight_for_a_moment_is_known_again_and_after_a_while_it_is_not() -> None:
    tracker = Tracker()
    numbers(tracker, [LEFT, RIGHT], 0.0)
    assert numbers(tracker, [RIGHT], 0.5) == [1]
    assert numbers(tracker, [LEFT, RIGHT], 0.9) == [0, 1]
    numbers(tracker, [RIGHT], 1.5)
    assert numbers(tracker, [LEFT, RIGHT], 2.5) == [2, 1]


def test_the_frame_before_counts_however_long_ago_it_was() -> None:
    tracker = Tracker()
    assert numbers(tracker, [LEFT], 0.0) == [0]
    assert numbers(tracker, [LEFT], 30.0) == [0]


def test_two_faces_are_never_the_same_one() -> None:
    tracker = Tracker()
    numbers(tracker, [LEFT], 0.0)
    assert numbers(tracker, [LEFT, (5, 5, 50, 50)], 0.1) == [0, 1]


def test_whole_frames_belong_together() -> None:
    tracker = Tracker()
    assert [numbers(tracker, [None], time) for time in (0.0, 5.0, 10.0)] == [[0], [0], [0]]


def test_the_tracker_forgets_faces_that_are_gone() -> None:
    tracker = Tracker()
    for step in range(100):
        tracker.follow([(100 * step, 0, 50, 50)], step * 0.5)
    assert len(tracker._tracks) <= 4


ONE, OTHER = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_after_the_time_constant_a_share_of_1_over_e_is_left() -> None:
    track = Track(0, None, 0.0)
    assert track.smooth(ONE, 0.0, 0.5).tolist() == [1, 0]
    assert track.smooth(OTHER, 0.5, 0.5) == pytest.approx([1 / math.e, 1 - 1 / math.e])


def test_frames_left_out_make_no_difference_to_a_steady_expression() -> None:
    often, seldom = Track(0, None, 0.0), Track(0, None, 0.0)
    for track, steps in ((often, 25), (seldom, 5)):
        track.smooth(ONE, 0.0, 0.5)
        for step in range(steps):
            last = track.smooth(OTHER, (step + 1) / steps, 0.5)
        assert last == pytest.approx([math.exp(-2), 1 - math.exp(-2)])


def test_a_constant_of_zero_does_not_smooth() -> None:
    track = Track(0, None, 0.0)
    track.smooth(ONE, 0.0, 0)
    assert track.smooth(OTHER, 0.01, 0).tolist() == [0, 1]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=20), st.floats(0, 10))
def test_smoothed_probabilities_are_probabilities(steps: list[tuple[float, float]], constant: float) -> None:
    track, time = Track(0, None, 0.0), 0.0
    for share, pause in steps:
        time += pause
        smooth = track.smooth(np.array([share, 1 - share]), time, constant)
        assert smooth.sum() == pytest.approx(1)
        assert (smooth >= 0).all()
