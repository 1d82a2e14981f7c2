"""Robustness and rejection, with a predictor whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mlopsproject.core.corrupt import CORRUPTIONS, SEVERITIES
from mlopsproject.core.spec import InputSpec
from mlopsproject.evaluation.plots import plot_robustness
from mlopsproject.evaluation.robustness import measure_rejection, measure_robustness


class SidePredictor:
    """Says 0 when the left half is lighter, 1 when the right half is; sure of itself where they differ."""

    spec = SimpleNamespace(input=InputSpec(size=16))
    abstain_threshold = 0.6

    def logits(self, images: np.ndarray, batch_size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        middle = images.shape[3] // 2
        left, right = images[..., :middle].mean((1, 2, 3)), images[..., middle:].mean((1, 2, 3))
        difference = (left - right) / 10
        return np.stack([difference, -difference], 1).astype(np.float32), np.zeros((len(images), 2), np.float32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        exps = np.exp(logits.astype(np.float64))
        return exps / exps.sum(1, keepdims=True)


def sided(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Pictures that are light on the side that their label names."""
    labels = np.arange(count) % 2
    images = np.full((count, 1, 16, 16), 90, np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, :, 8 * label : 8 * label + 8] = 120
    return images, labels


def test_accuracy_is_given_for_every_corruption_and_severity() -> None:
    found = measure_robustness(SidePredictor(), *sided(), progress=False)
    assert found["images"] == 40
    assert found["accuracy"] == 1.0
    assert set(found["corruptions"]) == set(CORRUPTIONS)
    assert all(len(row) == len(SEVERITIES) for row in found["corruptions"].values())
    assert found["corruptions"]["contrast"] == [1.0, 1.0, 1.0]
    assert found["corruptions"]["occlusion"][2] < 1.0
    assert found["corrupted_accuracy"] == pytest.approx(np.mean(list(found["corruptions"].values())))


def test_a_mirrored_side_is_another_and_a_shifted_one_the_same() -> None:
    found = measure_robustness(SidePredictor(), *sided(), progress=False)
    assert found["flip_consistency"] == 0.0
    assert found["shift_consistency"] == 1.0


def test_labels_decide_accuracy_but_not_consistency() -> None:
    images, labels = sided()
    found = measure_robustness(SidePredictor(), images, 1 - labels, progress=False)
    assert found["accuracy"] == 0.0
    assert found["shift_consistency"] == 1.0


def test_the_seed_decides() -> None:
    first, again, other = (measure_robustness(SidePredictor(), *sided(), seed=s, progress=False) for s in (0, 0, 1))
    assert first == again != other


def test_pictures_without_a_face_are_uncertain_where_confidence_is_low() -> None:
    found = measure_rejection(SidePredictor(), np.full(10, 0.9))
    assert set(found) == {"blank", "noise", "non-face"}
    assert found["blank"]["uncertain"] == 1.0
    assert found["blank"]["auroc"] == 1.0
    assert 0.0 < found["non-face"]["uncertain"] < 1.0
    assert 0.0 < found["non-face"]["auroc"] < 1.0
    sure = SidePredictor()
    sure.abstain_threshold = 0.0
    assert all(row["uncertain"] == 0.0 for row in measure_rejection(sure, np.ones(3)).values())
    assert measure_rejection(sure, np.full(3, 0.5))["blank"]["auroc"] == 0.5  # all alike


def test_the_result_is_plain_json_and_can_be_drawn(tmp_path: Path) -> None:
    found = measure_robustness(SidePredictor(), *sided(), progress=False)
    assert json.loads(json.dumps(found)) == found
    plot_robustness(found, tmp_path / "robustness.png")
    assert (tmp_path / "robustness.png").stat().st_size > 5000
