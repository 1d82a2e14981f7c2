"""Heat maps as drawn: each on a scale of its own, in two colours, and none where nothing matters."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image

from mlopsproject.frontend.heat_map import draw_heat_map


def pixels_of(source: str) -> np.ndarray:
    content = base64.b64decode(source.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")).astype(int)


def test_a_map_is_orange_where_the_answer_rests_and_blue_where_the_face_speaks_against_it():
    pixels = pixels_of(draw_heat_map([[0.4, 0.0], [0.0, -0.4]]).source)
    warm, cold = pixels[20, 20], pixels[-20, -20]
    assert warm[0] > warm[2]
    assert cold[2] > cold[0]
    assert min(warm[3], cold[3]) > 150
    assert pixels[20, -20, 3] < 40


@pytest.mark.parametrize("scale", [0.06, 1.0, -1.0, 1e6])
def test_the_strongest_cell_is_as_strong_whatever_the_losses(scale):
    losses = scale * np.array([[1.0, 0.1], [0.0, -0.2]])
    opacity = pixels_of(draw_heat_map(losses.tolist()).source)[..., 3]
    assert opacity.max() == pytest.approx(215, abs=6)
    assert opacity.min() < 20


def test_the_factor_is_that_of_the_odds():
    assert draw_heat_map([[math.log(3), 0.0], [0.0, -2.0]]).factor == pytest.approx(3)
    assert draw_heat_map([[-0.5, -0.1]]).factor < 1


@pytest.mark.parametrize("losses", [[[0.0, 0.0]], [[1e-6, -1e-6]], [[0.04, -0.04]], [[math.nan, 0.0]]])
def test_where_nothing_matters_nothing_is_drawn(losses):
    assert draw_heat_map(losses) is None


@pytest.mark.parametrize("losses", [[], [[]], [[0.1], [0.1, 0.2]]])
def test_a_map_of_another_shape_is_refused(losses):
    with pytest.raises(ValueError, match="no heat map"):
        draw_heat_map(losses)
