"""Evaluating a bundle: figures, twins, abstention, and clear errors for what does not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.errors import BundleError, ConfigError, DataError
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.metrics import classification_metrics


def run(predictor, faces, out: Path, split: str = "test", **options) -> dict:
    return evaluate_bundle(predictor, faces, split, out, bootstrap_samples=50, progress=False, **options)


def test_measures_the_split_with_calibrated_probabilities(predictor, faces, tmp_path: Path) -> None:
    metrics = run(predictor, faces, tmp_path, plots=False)
    rows = faces.splits["test"]
    probabilities = predictor.probabilities(predictor.logits(faces.images[rows])[0])
    expected = classification_metrics(faces.labels[rows], probabilities, faces.classes, bootstrap_samples=50)
    assert {key: metrics[key] for key in expected} == expected
    assert metrics["accuracy"] == pytest.approx(4 / 6)


def test_writes_what_it_returns_as_plain_json(predictor, faces, tmp_path: Path) -> None:
    metrics = run(predictor, faces, tmp_path / "new" / "folder", plots=False)
    text = (tmp_path / "new" / "folder" / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == metrics
    assert "NaN" not in text


def test_says_where_the_figures_come_from(predictor, faces, tmp_path: Path) -> None:
    metrics = run(predictor, faces, tmp_path, plots=False)
    assert metrics["data"] == {"name": "faces", "fingerprint": "f" * 32, "split": "test", "labels": "given"}
    assert metrics["bundle"]["precision"] == "fp32"
    assert metrics["bundle"]["temperature"] == 2.0
    assert "onnxruntime" in metrics["versions"]
    assert metrics["seconds"] >= 0


def test_abstains_below_the_bundles_threshold(predictor, faces, tmp_path: Path) -> None:
    abstention = run(predictor, faces, tmp_path, plots=False)["abstention"]
    assert abstention == {"threshold": 0.5, "coverage": 5 / 6, "answered": 5, "accuracy": 4 / 5}


def test_leaves_twins_of_training_images_out_beside_the_plain_figures(predictor, faces, tmp_path: Path) -> None:
    metrics = run(predictor, faces, tmp_path, plots=False)
    assert (metrics["twins"]["exact"], metrics["twins"]["near"]) == (1, 2)
    assert metrics["without_exact_twins"]["images"] == 5
    assert metrics["without_exact_twins"]["accuracy"] == pytest.approx(3 / 5)
    assert metrics["without_twins"]["images"] == 4
    assert metrics["without_twins"]["accuracy"] == pytest.approx(2 / 4)
    assert len(metrics["without_twins"]["intervals_95"]["accuracy"]) == 2


def test_a_split_of_twins_only_has_no_figures_without_them(predictor, faces, tmp_path: Path) -> None:
    metrics = run(predictor, faces, tmp_path, split="train", plots=False)
    assert metrics["twins"]["exact"] == 6
    assert metrics["without_twins"] is None


def test_a_bundle_without_hashes_says_that_twins_are_unknown(predictor, faces, tmp_path: Path) -> None:
    (predictor.bundle.path / "train_hashes.parquet").unlink()
    metrics = run(predictor, faces, tmp_path, plots=False)
    assert metrics["twins"] is None
    assert metrics["without_twins"] is None


def test_all_means_every_split(predictor, faces, tmp_path: Path) -> None:
    assert run(predictor, faces, tmp_path, split="all", plots=False)["images"] == 15


def test_draws_the_figures_without_any_faces_unless_asked(predictor, faces, tmp_path: Path) -> None:
    run(predictor, faces, tmp_path)
    names = {path.stem for path in (tmp_path / "plots").iterdir()}
    assert names == {"confusion", "confusion_normalised", "roc", "reliability", "risk_coverage", "per_class"}


def test_the_same_seed_gives_the_same_figures(predictor, faces, tmp_path: Path) -> None:
    one, other = (run(predictor, faces, tmp_path, plots=False) for _ in range(2))
    changing = ("seconds", "created_at")
    assert {k: v for k, v in one.items() if k not in changing} == {k: v for k, v in other.items() if k not in changing}


class TestErrors:
    def test_an_unknown_split_names_the_nearest(self, predictor, faces, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="did you mean 'test'"):
            run(predictor, faces, tmp_path, split="tests")

    def test_an_empty_split_names_the_filled_ones(self, predictor, faces, tmp_path: Path) -> None:
        faces.splits["test"] = np.empty(0, np.int64)
        with pytest.raises(DataError, match=r"has no images.*train"):
            run(predictor, faces, tmp_path)

    def test_other_classes_are_named(self, predictor, faces, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"loaded with \['sad', 'happy'\].*classes=\[happy,sad,surprise\]"):
            run(predictor, dataclasses.replace(faces, classes=("sad", "happy")), tmp_path)

    def test_another_input_size_names_the_one_needed(self, predictor, faces, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="size=8, channels=1"):
            run(predictor, dataclasses.replace(faces, images=faces.images[:, :, :4, :4]), tmp_path)

    def test_a_network_without_numbers_is_refused_before_anything_is_written(
        self, predictor, faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(predictor, "probabilities", lambda logits: np.full(logits.shape, np.nan))
        with pytest.raises(BundleError, match="not numbers"):
            run(predictor, faces, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_flip_tta_averages_the_logits_of_a_picture_and_its_mirror_image(predictor, faces, tmp_path: Path) -> None:
    rows = faces.splits["test"]
    images = faces.images[rows]
    logits = (predictor.logits(images)[0] + predictor.logits(np.ascontiguousarray(images[:, :, :, ::-1]))[0]) / 2
    right = (logits.argmax(axis=1) == faces.labels[rows]).mean()
    found = run(predictor, faces, tmp_path)
    assert found["flip_tta"]["accuracy"] == pytest.approx(right)
    assert found["flip_tta"]["accuracy"] != found["accuracy"]
    assert "accuracy" in found["flip_tta"]["intervals_95"]


def test_robustness_is_measured_on_as_many_images_as_asked_for(predictor, faces, tmp_path: Path) -> None:
    assert run(predictor, faces, tmp_path)["robustness"] is None
    found = run(predictor, faces, tmp_path, robustness_images=4)
    assert found["robustness"]["images"] == 4
    assert set(found["rejection"]) == {"blank", "noise", "non-face"}
    assert (tmp_path / "plots" / "robustness.png").is_file()
