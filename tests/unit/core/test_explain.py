"""Occlusion maps: what an answer loses when a part of the face is covered."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlopsproject.core.explain import GRID, occlusion_map
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import load_input


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, "fp32")


@pytest.fixture(scope="module")
def pixels(predictor, smooth_picture):
    return load_input(smooth_picture(seed=3), predictor.spec.input)


def log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_the_answer_is_the_predictors(predictor, pixels):
    prediction, heat = occlusion_map(predictor, pixels)
    (expected,) = predictor.predict_inputs(pixels[None])
    assert prediction.label == expected.label
    assert prediction.confidence == pytest.approx(expected.confidence, abs=1e-6)
    assert heat.shape == (GRID, GRID)


def test_a_corner_loses_what_the_one_patch_over_it_takes(predictor, pixels):
    prediction, heat = occlusion_map(predictor, pixels)
    covered = pixels.copy()
    covered[:, :16, :16] = round(float(pixels.mean()))
    (without,) = predictor.predict_inputs(covered[None])
    loss = log_odds(prediction.confidence) - log_odds(without.probabilities[prediction.label])
    assert heat[0, 0] == pytest.approx(loss, abs=1e-5)


def test_an_answer_whose_probability_is_1_has_a_map_as_well(tiny_bundle, pixels, monkeypatch):
    predictor = Predictor(tiny_bundle, "fp32")
    _, expected = occlusion_map(predictor, pixels)
    run = predictor.logits
    monkeypatch.setattr(predictor, "logits", lambda *args, **options: (100 * run(*args, **options)[0], None))
    prediction, heat = occlusion_map(predictor, pixels)
    assert prediction.confidence == 1
    assert np.isfinite(heat).all()
    assert np.ptp(heat) > 10 * np.ptp(expected)


def test_covering_a_flat_picture_changes_nothing(predictor):
    _, heat = occlusion_map(predictor, np.full((1, 64, 64), 90, np.uint8))
    assert np.abs(heat).max() < 1e-6


def test_what_differs_in_one_place_is_seen_there(predictor):
    pixels = np.full((1, 64, 64), 90, np.uint8)
    pixels[:, 8:16, 40:48] = np.random.default_rng(0).integers(0, 256, (8, 8))
    _, heat = occlusion_map(predictor, pixels)
    inside = np.abs(heat[0:3, 4:7]).max()
    heat[0:3, 4:7] = 0
    assert inside > 3 * np.abs(heat).max()


def test_colour_and_other_sizes_work_as_well(make_bundle, tmp_path, smooth_picture):
    predictor = Predictor(make_bundle(tmp_path, channels=3, size=50), "fp32")
    _, heat = occlusion_map(predictor, load_input(smooth_picture(), predictor.spec.input), grid=6)
    assert heat.shape == (6, 6)
    assert np.isfinite(heat).all()
