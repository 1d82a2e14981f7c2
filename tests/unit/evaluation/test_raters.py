"""How far raters agree, and a model with them, by figures that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.data.votes import LabelRule, Votes
from mlopsproject.evaluation.calibration import fit_abstention
from mlopsproject.evaluation.raters import other_class_metrics, rater_against_others, rater_metrics, two_raters_agree

COUNTS = st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("counts", "pairs", "against"),
    [
        ([[10, 0, 0]], 1.0, 1.0),
        # Of the 3 the others say 2 : 1, of the 1 they say 3 : 0.
        ([[3, 1, 0]], 0.5, 0.75),
        # Whoever it is, the others say 1 : 2 against.
        ([[2, 2, 0]], 1 / 3, 0.0),
        # The others are tied, 1 : 1.
        ([[1, 1, 1]], 0.0, 0.0),
        ([[2, 1, 0]], 1 / 3, 1 / 3),
        ([[10, 0, 0], [3, 1, 0]], 0.75, 0.875),
    ],
)
def test_raters_are_compared_among_themselves(counts: list[list[int]], pairs: float, against: float) -> None:
    assert two_raters_agree(np.array(counts)) == pytest.approx(pairs)
    assert rater_against_others(np.array(counts)) == pytest.approx(against)


def test_nobody_is_compared_with_nobody() -> None:
    assert two_raters_agree(np.array([[1, 0], [0, 0]])) is None
    assert rater_against_others(np.array([[1, 0], [0, 0]])) is None


@given(COUNTS)
def test_one_against_the_others_is_what_drawing_each_rater_in_turn_gives(counts: list[list[int]]) -> None:
    shares = []
    for row in counts:
        raters = [choice for choice, votes in enumerate(row) for _ in range(votes)]
        if len(raters) < 2:
            continue
        agreed = 0.0
        for place, choice in enumerate(raters):
            others = np.bincount([*raters[:place], *raters[place + 1 :]], minlength=3)
            first = np.flatnonzero(others == others.max())
            agreed += (choice in first) / len(first)
        shares.append(agreed / len(raters))
    wanted = pytest.approx(float(np.mean(shares))) if shares else None
    assert rater_against_others(np.array(counts)) == wanted


def test_a_model_is_measured_against_the_distribution() -> None:
    votes = Votes(("happy", "sad", "neutral"), np.array([[8, 2, 0], [0, 5, 5], [0, 0, 9]]))
    probabilities = np.array([[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]])
    found = rater_metrics(votes, np.arange(3), probabilities, ("happy", "sad"), LabelRule(labels="majority"))
    assert found is not None
    # Nobody said that the third is happy or sad.
    assert found["images"] == 2
    own = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert found["entropy"] == pytest.approx(own / 2)
    assert found["cross_entropy"] == pytest.approx((own + np.log(2)) / 2)
    assert found["top2"] == 1
    # 8 of 10 said happy; of the second 5 of 10 said what the model says, if it says sad.
    said = 0.5 if probabilities[1].argsort()[-1] == 1 else 0.0
    assert found["agrees_with_a_rater"] == pytest.approx((0.8 + said) / 2)
    assert rater_metrics(votes, np.array([2]), probabilities[2:], ("happy", "sad"), LabelRule()) is None


def test_uncertain_is_counted_per_class_that_the_model_does_not_know() -> None:
    names = np.array(["neutral", "neutral", "disgust"], object)
    found = other_class_metrics(names, np.array([0.3, 0.7, 0.2]), 0.5)
    assert found == {
        "images": 3,
        "uncertain": pytest.approx(2 / 3),
        "per_class": {"disgust": {"images": 1, "uncertain": 1.0}, "neutral": {"images": 2, "uncertain": 0.5}},
    }
    assert other_class_metrics(names[:0], np.empty(0), 0.5) is None


def test_the_threshold_also_keeps_faces_of_other_classes_out() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right, other = np.ones(5, bool), np.array([0.4, 0.55, 0.65, 0.75])
    assert fit_abstention(confidence, right).threshold == 0
    fit = fit_abstention(confidence, right, other=other, min_rejection=0.5)
    assert (fit.threshold, fit.coverage, fit.attained) == (0.6, 0.8, True)
    fit = fit_abstention(confidence, right, other=other, min_rejection=1.0)
    assert (fit.threshold, fit.coverage, fit.attained) == (0.7, 0.6, False)


@given(
    st.lists(st.tuples(st.floats(0.2, 1), st.booleans()), min_size=1, max_size=30),
    st.lists(st.floats(0.2, 1), max_size=20),
    st.floats(0, 1),
)
def test_an_attained_threshold_keeps_all_its_promises(
    answers: list[tuple[float, bool]], other: list[float], min_rejection: float
) -> None:
    confidence, right = (np.array(part) for part in zip(*answers, strict=True))
    fit = fit_abstention(confidence, right, 0.2, 0.3, np.array(other), min_rejection)
    answered = confidence >= fit.threshold
    assert answered.mean() == pytest.approx(fit.coverage)
    if fit.attained:
        assert answered.mean() >= 0.3 - 1e-9
        assert (~right[answered]).mean() <= 0.2 + 1e-9
        assert not other or (np.array(other) < fit.threshold).mean() >= min_rejection - 1e-9
