"""Heat maps of answers that are all but certain: something is seen, and what is seen is what the answer rests on."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mlopsproject.core.explain import occlusion_map
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import load_input
from mlopsproject.data.synthetic import render_expression, sample_expression
from mlopsproject.data.synthetic.identity import sample_identity
from mlopsproject.data.synthetic.scene import STUDIO
from mlopsproject.frontend.heat_map import draw_heat_map

STORE = Path(__file__).parents[2] / "models"
#: Faces, and the part of each that is covered, as a share of its pixels, at the hottest place and at random ones.
FACES, SHARE, RANDOM = 40, 0.1, 15


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("sample", store=STORE)


@pytest.fixture(scope="module")
def sure_faces(predictor) -> list[np.ndarray]:
    """Drawn faces whose answer has a probability above 0.99, as the network sees them."""
    rng = np.random.default_rng(0)
    drawn = [
        load_input(
            render_expression(sample_expression(name, rng), sample_identity(rng), STUDIO, rng, 96), predictor.spec.input
        )
        for _ in range(2 * FACES // len(predictor.spec.classes))
        for name in predictor.spec.classes
    ]
    answers = predictor.predict_inputs(np.stack(drawn))
    sure = [face for face, answer in zip(drawn, answers, strict=True) if answer.confidence > 0.99][:FACES]
    assert len(sure) == FACES
    return sure


def test_something_is_seen_on_every_sure_answer(predictor, sure_faces):
    for face in sure_faces:
        heat_map = draw_heat_map(occlusion_map(predictor, face)[1].tolist())
        assert heat_map is not None
        content = base64.b64decode(heat_map.source.removeprefix("data:image/webp;base64,"))
        opacity = np.asarray(Image.open(io.BytesIO(content)))[..., 3].astype(int)
        assert np.ptp(opacity) > 0.6 * 255


def test_covering_the_hottest_part_costs_more_than_covering_others_of_its_size(predictor, sure_faces):
    hot, elsewhere = [], []
    for number, face in enumerate(sure_faces):
        _, losses = occlusion_map(predictor, face)
        part = hottest(losses, face.shape[1])
        rng = np.random.default_rng(number)
        others = [np.roll(part, tuple(rng.integers(0, face.shape[1], 2)), (0, 1)) for _ in range(RANDOM)]
        # Blurred, not filled with the mean as the map itself is measured.
        blurred = np.stack([cv2.GaussianBlur(channel, (0, 0), face.shape[1] / 8) for channel in face])
        first, *rest = losses_of(predictor, face, [np.where(each, blurred, face) for each in [part, *others]])
        hot.append(first)
        elsewhere.append(np.median(rest))
    assert np.mean(np.array(hot) > np.array(elsewhere)) >= 0.95
    assert np.mean(hot) > 3 * np.mean(elsewhere)


def hottest(losses: np.ndarray, size: int) -> np.ndarray:
    """The share of the pixels, bool `[size, size]`, at which the map is highest."""
    smooth = np.asarray(Image.fromarray(losses.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC))
    return smooth >= np.quantile(smooth, 1 - SHARE)


def losses_of(predictor: Predictor, face: np.ndarray, covered: list[np.ndarray]) -> np.ndarray:
    """What the logit of a face's answer loses against the mean of the others, in each of its covered versions."""
    logits, _ = predictor.logits(np.stack([face, *covered]))
    best = int(logits[0].argmax())
    margin = logits[:, best] - np.delete(logits, best, axis=1).mean(axis=1)
    return margin[0] - margin[1:]
