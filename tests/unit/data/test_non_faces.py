"""Generated pictures without a face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlopsproject.data.synthetic.non_faces import NON_FACES, blank_pictures, noise_pictures, non_face_pictures


@pytest.mark.parametrize("draw", [blank_pictures, noise_pictures, non_face_pictures])
@pytest.mark.parametrize("size", [16, 64])
def test_pictures_are_gray_bytes_that_a_seed_repeats(draw: Callable[..., np.ndarray], size: int) -> None:
    drawn = draw(12, size, seed=3)
    assert drawn.shape == (12, size, size)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, draw(12, size, seed=3))
    assert not np.array_equal(drawn, draw(12, size, seed=4))


def test_blank_pictures_run_from_black_to_white() -> None:
    drawn = blank_pictures(256, 8)
    assert (drawn == drawn[:, :1, :1]).all()
    assert sorted(drawn[:, 0, 0]) == list(range(256))


def test_every_kind_of_drawing_shows_something_and_differs() -> None:
    drawn = non_face_pictures(2 * len(NON_FACES), 64)
    assert (drawn.std((1, 2)) > 5).all()
    assert len({picture.tobytes() for picture in drawn}) == len(drawn)
