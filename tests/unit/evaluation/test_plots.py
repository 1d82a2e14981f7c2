"""Every figure is one readable PNG, also for odd input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlopsproject.evaluation import plots
from mlopsproject.evaluation.calibration import reliability_bins, risk_coverage, softmax
from mlopsproject.evaluation.metrics import classification_metrics, roc_curves

CLASSES = ("happy", "sad", "surprise")


def scored(images: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, images)
    logits = rng.normal(size=(images, 3))
    logits[np.arange(images), labels] += 1
    return labels, softmax(logits)


def assert_picture(path: Path) -> None:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def draw_all(labels: np.ndarray, probabilities: np.ndarray, folder: Path) -> None:
    metrics = classification_metrics(labels, probabilities, CLASSES, bootstrap_samples=20)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    counts = np.array(metrics["confusion"]["raw"])
    plots.plot_confusion(counts, CLASSES, folder / "confusion.png")
    plots.plot_confusion(counts, CLASSES, folder / "normalised.png", normalised=True)
    plots.plot_roc(roc_curves(labels, probabilities, CLASSES), folder / "roc.png")
    plots.plot_reliability(reliability_bins(confidence, correct), folder / "reliability.png", ece=metrics["ece"])
    plots.plot_risk_coverage(risk_coverage(confidence, correct), folder / "risk.png", threshold=0.5)
    plots.plot_per_class(metrics, folder / "per_class.png")
    images = np.zeros((len(labels), 1, 8, 8), np.uint8)
    rows = plots.example_rows(labels, probabilities)
    plots.plot_examples(images, labels, probabilities, CLASSES, rows, folder / "examples.png")


def test_each_figure_is_a_png(tmp_path: Path) -> None:
    draw_all(*scored(), tmp_path / "made")
    found = sorted((tmp_path / "made").iterdir())
    assert len(found) == 7
    for path in found:
        assert_picture(path)


def test_a_single_right_image_of_one_class_can_be_drawn(tmp_path: Path) -> None:
    draw_all(np.array([0]), np.array([[0.8, 0.1, 0.1]]), tmp_path)


def test_colour_pictures_are_shown_in_colour(tmp_path: Path) -> None:
    labels, probabilities = scored(4)
    red = np.zeros((4, 3, 8, 8), np.uint8)
    red[:, 0] = 255
    plots.plot_examples(
        red, labels, probabilities, CLASSES, plots.example_rows(labels, probabilities), tmp_path / "x.png"
    )
    with Image.open(tmp_path / "x.png") as image:
        assert (np.asarray(image.convert("RGB")) == [255, 0, 0]).all(axis=2).any()


def test_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.plot_confusion(np.eye(3) * 5, CLASSES, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


class TestExampleRows:
    def test_hold_right_wrong_and_surest_wrong_images(self) -> None:
        labels, probabilities = scored(200)
        rows = plots.example_rows(labels, probabilities, 5)
        right = probabilities.argmax(axis=1) == labels
        assert right[rows["Right"]].all()
        assert not right[rows["Wrong"]].any()
        surest = probabilities.max(axis=1)[rows["Wrong, most confident first"]]
        assert surest.tolist() == sorted(probabilities.max(axis=1)[~right], reverse=True)[:5]

    def test_take_fewer_where_there_are_fewer(self) -> None:
        rows = plots.example_rows(np.array([0]), np.array([[0.9, 0.1]]))
        assert [len(row) for row in rows.values()] == [1, 0, 0]


class TestLearningCurves:
    def test_read_a_csv_logger_file_with_gaps(self, tmp_path: Path) -> None:
        csv = tmp_path / "metrics.csv"
        csv.write_text(
            "epoch,step,train/loss,val/loss,val/acc\n0,9,1.5,,\n0,9,,1.2,0.5\n1,19,1.0,,\n1,19,,0.9,0.7\n,,,,\n"
        )
        plots.plot_learning_curves(csv, tmp_path / "curves.png")
        assert_picture(tmp_path / "curves.png")

    def test_prefer_the_epochs_mean_over_a_steps_value(self, tmp_path: Path) -> None:
        csv = tmp_path / "metrics.csv"
        csv.write_text("epoch,train/loss,train/loss_epoch\n0,9.0,1.0\n")
        assert plots.read_epochs(csv, ["train/loss"]) == {"train/loss": {0: 1.0}}

    @pytest.mark.parametrize("text", ["epoch,step\n", "epoch,val/acc\n0,\n"])
    def test_without_any_figures_still_make_a_picture(self, text: str, tmp_path: Path) -> None:
        csv = tmp_path / "metrics.csv"
        csv.write_text(text)
        plots.plot_learning_curves(csv, tmp_path / "curves.png")
        assert_picture(tmp_path / "curves.png")
