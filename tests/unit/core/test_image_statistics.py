"""Image statistics mean what their documentation says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as npst
from PIL import Image, ImageFilter

from mlopsproject.core.image_statistics import STATISTICS, image_statistics
from mlopsproject.core.preprocess import to_input


def test_a_flat_picture_has_its_brightness_and_nothing_else():
    found = image_statistics(np.full((1, 1, 64, 64), 51, np.uint8))
    assert found["brightness"][0] == pytest.approx(0.2, abs=1e-6)
    assert found["contrast"][0] == pytest.approx(0, abs=1e-6)
    assert found["sharpness"][0] == pytest.approx(0, abs=1e-6)


def test_a_chessboard_is_as_contrasty_and_sharp_as_can_be():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    found = image_statistics(board[None, None])
    assert found["contrast"][0] == pytest.approx(0.5)
    assert found["sharpness"][0] == pytest.approx(4)


def test_blur_lowers_sharpness_more_than_contrast(smooth_picture):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    pictures = [noise, *(noise.filter(ImageFilter.GaussianBlur(radius)) for radius in (0.5, 1, 2, 4))]
    found = image_statistics(np.stack([to_input(picture, 64, 1, "bilinear") for picture in pictures]))
    assert (np.diff(found["sharpness"]) < 0).all()
    ratio = found["sharpness"] / found["contrast"]
    assert (np.diff(ratio) < 0).all()


def test_colour_is_measured_as_the_gray_that_pillow_makes(smooth_picture):
    colour = to_input(smooth_picture(64, 64), 64, 3, "bilinear")
    gray = to_input(smooth_picture(64, 64), 64, 1, "bilinear")
    from_colour, from_gray = image_statistics(colour[None]), image_statistics(gray[None])
    for name in STATISTICS:
        assert from_colour[name][0] == pytest.approx(from_gray[name][0], abs=0.005)


def test_many_pictures_are_measured_as_one_by_one():
    images = np.random.default_rng(0).integers(0, 256, (1030, 1, 8, 8), dtype=np.uint8)
    together = image_statistics(images)
    for row in (0, 1023, 1024, 1029):
        alone = image_statistics(images[row : row + 1])
        for name in STATISTICS:
            assert together[name][row] == pytest.approx(alone[name][0], rel=1e-6)


def test_no_pictures_give_empty_columns():
    found = image_statistics(np.zeros((0, 1, 8, 8), np.uint8))
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(STATISTICS, (0,))


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (1, 2, 8, 8), (1, 1, 2, 8)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="uint8"):
        image_statistics(np.zeros(shape, np.uint8))


@given(npst.arrays(np.uint8, (3, 1, 12, 12)))
@settings(max_examples=60, deadline=None)
def test_statistics_stay_in_their_ranges(images):
    found = image_statistics(images)
    assert ((found["brightness"] >= 0) & (found["brightness"] <= 1)).all()
    assert ((found["contrast"] >= 0) & (found["contrast"] <= 0.5 + 1e-6)).all()
    assert ((found["sharpness"] >= 0) & (found["sharpness"] <= 4 + 1e-6)).all()
    np.testing.assert_allclose(found["brightness"], images.mean(axis=(1, 2, 3)) / 255, rtol=1e-5, atol=1e-7)
