"""Metrics agree with scikit-learn, survive missing classes and give honest intervals."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlopsproject.evaluation.calibration import softmax
from mlopsproject.evaluation.metrics import bootstrap_scores, classification_metrics, confusion_matrix, jsonable

CLASSES = ("angry", "fear", "happy", "sad", "surprise")


def scored(images: int, seed: int = 0, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.5
    return labels, softmax(logits)


class TestAgreementWithScikitLearn:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 1000), st.integers(40, 300))
    def test_scores(self, seed: int, images: int) -> None:
        labels, probabilities = scored(images, seed)
        if len(np.unique(labels)) < 5:
            return
        ours = classification_metrics(labels, probabilities, CLASSES, bootstrap_samples=0)
        predicted = probabilities.argmax(axis=1)
        one_hot = np.eye(5)[labels]
        assert ours["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
        assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
        assert ours["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
        assert ours["weighted_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="weighted"))
        assert ours["nll"] == pytest.approx(sk.log_loss(labels, probabilities, labels=range(5)))
        assert ours["brier"] == pytest.approx(((probabilities - one_hot) ** 2).sum(axis=1).mean())
        auc = ours["roc_auc"]
        assert auc["macro"] == pytest.approx(sk.roc_auc_score(labels, probabilities, multi_class="ovr"))
        assert auc["micro"] == pytest.approx(sk.roc_auc_score(one_hot, probabilities, average="micro"))
        assert ours["confusion"]["raw"] == sk.confusion_matrix(labels, predicted).tolist()

    def test_per_class_figures(self) -> None:
        labels, probabilities = scored(500)
        ours = classification_metrics(labels, probabilities, CLASSES)["per_class"]
        theirs = sk.precision_recall_fscore_support(labels, probabilities.argmax(axis=1))
        for index, name in enumerate(CLASSES):
            found = [ours[name][key] for key in ("precision", "recall", "f1", "support")]
            assert found == pytest.approx([column[index] for column in theirs])


class TestMissingClasses:
    def test_a_class_without_images_is_null_and_left_out_of_the_macro_average(self) -> None:
        labels, probabilities = scored(200, classes=5)
        keep = labels != 1
        result = classification_metrics(labels[keep], probabilities[keep], CLASSES, bootstrap_samples=50)
        fear = result["per_class"]["fear"]
        assert (fear["recall"], fear["f1"], fear["support"]) == (None, None, 0)
        assert result["roc_auc"]["fear"] is None
        others = [result["per_class"][name]["f1"] for name in CLASSES if name != "fear"]
        assert result["macro_f1"] == pytest.approx(np.mean(others))
        assert result["confusion"]["normalised"][1] == [None] * 5
        assert result["intervals_95"]["per_class"]["fear"]["f1"] is None
        json.dumps(result, allow_nan=False)

    def test_a_single_image_does_not_crash(self) -> None:
        result = classification_metrics(np.array([0]), np.array([[0.9, 0.1]]), ("happy", "sad"))
        assert result["accuracy"] == 1.0
        assert result["roc_auc"]["macro"] is None
        assert result["intervals_95"]["accuracy"] == [1.0, 1.0]

    def test_a_class_never_predicted_has_precision_zero(self) -> None:
        result = classification_metrics(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), ("happy", "sad"))
        assert result["per_class"]["sad"]["precision"] == 0.0

    def test_a_probability_of_zero_for_the_truth_stays_finite(self) -> None:
        assert classification_metrics(np.array([1]), np.array([[1.0, 0.0]]), ("happy", "sad"))["nll"] < 100


class TestIntervals:
    def test_match_the_binomial_interval_of_accuracy(self) -> None:
        labels, probabilities = scored(3589)
        result = classification_metrics(labels, probabilities, CLASSES)
        accuracy = result["accuracy"]
        half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 3589)
        assert result["intervals_95"]["accuracy"] == pytest.approx([accuracy - half, accuracy + half], abs=0.002)

    def test_match_resampling_the_images_themselves(self) -> None:
        labels, probabilities = scored(400)
        predicted = probabilities.argmax(axis=1)
        counts = confusion_matrix(labels, predicted, 5)
        rng = np.random.default_rng(0)
        rows = rng.integers(0, 400, (400, 400))
        plain = [sk.f1_score(labels[r], predicted[r], average="macro") for r in rows]
        fast = bootstrap_scores(counts, 4000, seed=1)["macro_f1"]
        assert fast.std() == pytest.approx(np.std(plain), rel=0.12)
        assert fast.mean() == pytest.approx(np.mean(plain), abs=0.005)

    def test_repeat_with_the_same_seed(self) -> None:
        labels, probabilities = scored(100)
        one, other = (classification_metrics(labels, probabilities, CLASSES, seed=3) for _ in range(2))
        assert one == other

    def test_a_thousand_replicates_of_a_test_split_take_less_than_a_second(self) -> None:
        labels, probabilities = scored(3589)
        start = time.process_time()
        classification_metrics(labels, probabilities, CLASSES, bootstrap_samples=1000)
        assert time.process_time() - start < 1.0

    def test_can_be_left_out(self) -> None:
        labels, probabilities = scored(20)
        assert "intervals_95" not in classification_metrics(labels, probabilities, CLASSES, bootstrap_samples=0)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([0, 1], [[1.0, 0.0]], "do not fit"),
        ([0], [[1.0, 0.0, 0.0]], "do not fit"),
        ([], np.zeros((0, 2)), "no images"),
        ([-1], [[1.0, 0.0]], "outside 0-1"),
        ([0], [[np.nan, 0.0]], "not usable"),
    ],
)
def test_refuses_input_that_makes_no_sense(labels: list[int], probabilities: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_metrics(np.array(labels, dtype=int), np.array(probabilities), ("happy", "sad"))


def test_numpy_values_become_plain_json() -> None:
    value = {"a": np.float32(0.5), "b": np.array([1, 2]), "c": (np.nan, np.int64(3)), 4: float("inf")}
    assert jsonable(value) == {"a": 0.5, "b": [1, 2], "c": [None, 3], "4": None}
