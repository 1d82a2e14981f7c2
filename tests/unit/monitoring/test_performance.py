"""Performance is judged by labels, with an interval, and not by labels that were chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from mlopsproject.core.errors import BundleError
from mlopsproject.monitoring.current import Current
from mlopsproject.monitoring.performance import judge_performance, selection_p_value
from mlopsproject.monitoring.settings import DecaySettings


class Known:
    """A bundle that was right on 75 % of its test images."""

    name = "known-0123456789ab"

    def __init__(self, **metrics: float) -> None:
        self._metrics = metrics

    def metrics(self) -> dict[str, float]:
        return self._metrics


BUNDLE = Known(accuracy=0.75)
SETTINGS = DecaySettings(min_labels=100, margin=0.03, confidence=0.95)


def labelled(count: int, correct: int, confidence: float = 0.8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    predicted = rng.choice(["happy", "sad"], count)
    label = np.where(np.arange(count) < correct, predicted, "angry")
    return pd.DataFrame({"predicted": predicted, "label": label, "confidence": rng.normal(confidence, 0.05, count)})


def feedback(given: pd.DataFrame, others: pd.DataFrame | None = None) -> Current:
    rest = labelled(1000, 0, seed=1) if others is None else others
    return Current("log", pd.DataFrame(), 0, labelled=given, unlabelled=rest[["predicted", "confidence"]])


def test_the_interval_is_wilsons_and_decay_means_all_of_it_is_too_low() -> None:
    found = judge_performance(feedback(labelled(300, 204)), BUNDLE, SETTINGS)
    assert found is not None
    expected = binomtest(204, 300).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.accuracy == pytest.approx(0.68)
    # 73 % at most against 75 % less 3 points: not far enough.
    assert found.verdict == "ok"
    lower = judge_performance(feedback(labelled(300, 150)), BUNDLE, SETTINGS)
    assert lower is not None
    assert lower.verdict == "decay"
    assert "random sample" in lower.note


def test_too_few_labels_say_so() -> None:
    found = judge_performance(feedback(labelled(99, 0)), BUNDLE, SETTINGS)
    assert found is not None
    assert found.verdict == "not_enough_data"
    assert "99 labels are too few" in found.note
    none = judge_performance(feedback(labelled(0, 0)), BUNDLE, SETTINGS)
    assert none is not None
    assert (none.verdict, none.accuracy, none.labels) == ("not_enough_data", None, 0)


def test_labels_of_the_doubtful_answers_prove_no_decay() -> None:
    """People who click when an answer looks wrong would raise the alarm for ever."""
    found = judge_performance(feedback(labelled(300, 30, confidence=0.4)), BUNDLE, SETTINGS)
    assert found is not None
    assert found.verdict == "chosen_labels"
    assert found.selection_p_value is not None
    assert found.selection_p_value < 0.01
    assert "random sample" in found.note


def test_labels_of_one_class_only_are_chosen_too() -> None:
    given = labelled(300, 30)
    found = judge_performance(feedback(given[given["predicted"] == "sad"]), BUNDLE, SETTINGS)
    assert found is not None
    assert found.verdict == "chosen_labels"


def test_a_random_sample_is_taken_for_one() -> None:
    values = [selection_p_value(labelled(200, 0, seed=seed), labelled(800, 0, seed=seed + 500)) for seed in range(30)]
    assert sum(value is not None and value < 0.01 for value in values) <= 1


def test_without_enough_other_faces_there_is_no_telling_whether_labels_were_chosen() -> None:
    found = judge_performance(feedback(labelled(200, 20), labelled(5, 0)), BUNDLE, SETTINGS)
    assert found is not None
    assert found.selection_p_value is None
    assert found.verdict == "decay"
    assert "too few other faces" in found.note


def test_a_data_set_is_labelled_as_a_whole() -> None:
    found = judge_performance(Current("dataset", pd.DataFrame(), 0, labelled=labelled(200, 20)), BUNDLE, SETTINGS)
    assert found is not None
    assert (found.source, found.verdict, found.selection_p_value) == ("dataset", "decay", None)
    assert sum(count for count, _ in found.per_class.values()) == 200
    assert sum(agreeing for _, agreeing in found.per_class.values()) == 20


def test_a_bundle_without_accuracy_is_a_clear_error_where_it_is_needed() -> None:
    with pytest.raises(BundleError, match="names no accuracy"):
        judge_performance(feedback(labelled(300, 150)), Known(), SETTINGS)
    assert judge_performance(Current("pictures", pd.DataFrame(), 0), Known(), SETTINGS) is None


def test_pictures_have_no_labels() -> None:
    assert judge_performance(Current("pictures", pd.DataFrame(), 0), BUNDLE, SETTINGS) is None
