"""Calibration: temperature, calibration error, risk against coverage and the abstain threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.evaluation.calibration import (
    expected_calibration_error,
    fit_abstention,
    fit_temperature,
    reliability_bins,
    risk_coverage,
    softmax,
)

scored = st.lists(st.tuples(st.integers(0, 20).map(lambda k: k / 20), st.booleans()), min_size=1, max_size=60)


def drawn_from(logits: np.ndarray, seed: int) -> np.ndarray:
    """Labels drawn from the logits' own probabilities: temperature 1 is right by construction."""
    cumulative = softmax(logits).cumsum(axis=1)
    uniform = np.random.default_rng(seed).random((len(logits), 1))
    return np.minimum((uniform > cumulative).sum(axis=1), logits.shape[1] - 1)


class TestSoftmax:
    def test_rows_sum_to_one_even_for_huge_logits(self) -> None:
        assert softmax(np.array([[1e4, 0.0], [-1e4, -1e4]])) == pytest.approx(np.array([[1, 0], [0.5, 0.5]]))

    def test_a_temperature_above_one_softens(self) -> None:
        logits = np.array([[2.0, 0.0]])
        assert softmax(logits, 4.0)[0, 0] < softmax(logits)[0, 0]


class TestTemperature:
    @pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
    def test_recovers_the_factor_by_which_logits_are_overconfident(self, factor: float) -> None:
        logits = np.random.default_rng(0).normal(scale=1.5, size=(20_000, 5))
        labels = drawn_from(logits, seed=1)
        assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.04)

    def test_is_one_when_every_image_is_right(self) -> None:
        assert fit_temperature(np.eye(3) * 4, np.arange(3)) == 1.0

    def test_is_one_when_the_logits_say_nothing(self) -> None:
        assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 1.0

    def test_stays_in_range_when_every_image_is_wrong(self) -> None:
        assert 0.1 <= fit_temperature(np.eye(2) * 50, np.array([1, 0])) <= 10.0

    def test_never_raises_the_negative_log_likelihood(self) -> None:
        rng = np.random.default_rng(2)
        logits, labels = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)

        def nll(temperature: float) -> float:
            return float(-np.log(softmax(logits, temperature)[np.arange(30), labels]).mean())

        assert nll(fit_temperature(logits, labels)) <= nll(1.0)

    @pytest.mark.parametrize("labels", [[], [0, 1]])
    def test_refuses_lengths_that_do_not_fit(self, labels: list[int]) -> None:
        with pytest.raises(ValueError, match="as many labels as logits"):
            fit_temperature(np.zeros((len(labels) and 1, 3)), np.array(labels))


class TestCalibrationError:
    def test_is_the_gap_between_confidence_and_accuracy(self) -> None:
        confidence = np.array([0.8] * 10)
        correct = np.array([True] * 5 + [False] * 5)
        assert expected_calibration_error(confidence, correct) == pytest.approx(0.3)

    def test_is_zero_for_a_perfectly_calibrated_model(self) -> None:
        assert expected_calibration_error(np.array([0.75] * 4), np.array([1, 1, 1, 0])) == pytest.approx(0.0)

    def test_without_images_is_not_a_number(self) -> None:
        assert np.isnan(expected_calibration_error(np.array([]), np.array([])))

    def test_an_edge_belongs_to_the_bin_below_and_zero_to_the_first(self) -> None:
        counts = [item["count"] for item in reliability_bins(np.array([0.0, 0.5, 1.0]), np.ones(3, bool), bins=2)]
        assert counts == [2, 1]

    def test_empty_bins_have_no_accuracy(self) -> None:
        first = reliability_bins(np.array([0.9]), np.array([True]))[0]
        assert first["count"] == 0
        assert first["accuracy"] is None

    @given(scored)
    def test_every_image_is_in_one_bin_and_the_error_is_a_share(self, rows: list[tuple[float, bool]]) -> None:
        confidence, correct = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        assert sum(item["count"] for item in reliability_bins(confidence, correct)) == len(rows)
        assert 0 <= expected_calibration_error(confidence, correct) <= 1


class TestRiskCoverage:
    def test_goes_from_the_most_confident_image_to_all_of_them(self) -> None:
        curve = risk_coverage(np.array([0.9, 0.5, 0.7]), np.array([True, False, True]))
        assert curve.coverage == pytest.approx([1 / 3, 2 / 3, 1])
        assert curve.risk == pytest.approx([0, 0, 1 / 3])
        assert curve.area == pytest.approx(1 / 9)

    def test_ties_are_answered_together_whatever_their_order(self) -> None:
        confidence = np.array([0.6, 0.6, 0.6, 0.9])
        one = risk_coverage(confidence, np.array([True, False, True, True]))
        other = risk_coverage(confidence, np.array([False, True, True, True]))
        assert one.risk.tolist() == other.risk.tolist() == [0.0, 0.25]

    def test_needs_an_image(self) -> None:
        with pytest.raises(ValueError, match="at least one image"):
            risk_coverage(np.array([]), np.array([]))


class TestAbstainThreshold:
    def test_is_the_smallest_threshold_that_keeps_the_risk(self) -> None:
        confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
        correct = np.array([True, True, True, False, False])
        fit = fit_abstention(confidence, correct, max_risk=0.25, min_coverage=0.2)
        assert (fit.threshold, fit.coverage, fit.risk, fit.attained) == (0.6, 0.8, 0.25, True)

    def test_answers_everything_when_the_whole_set_is_good_enough(self) -> None:
        assert fit_abstention(np.array([0.9, 0.4]), np.array([True, True])).threshold == 0.0

    def test_falls_back_to_the_least_coverage_when_the_risk_is_out_of_reach(self) -> None:
        fit = fit_abstention(np.array([0.9, 0.8, 0.7, 0.6]), np.zeros(4, bool), max_risk=0.1, min_coverage=0.5)
        assert (fit.threshold, fit.coverage, fit.attained) == (0.8, 0.5, False)

    def test_does_not_split_a_tie_to_meet_the_risk(self) -> None:
        fit = fit_abstention(np.full(4, 0.7), np.array([True, True, True, False]), max_risk=0.1, min_coverage=0.5)
        assert (fit.threshold, fit.coverage, fit.attained) == (0.0, 1.0, False)

    def test_one_wrong_image_is_still_answered(self) -> None:
        assert fit_abstention(np.array([0.3]), np.array([False])).threshold == 0.0

    @given(scored, st.sampled_from([0.0, 0.05, 0.1, 0.3]), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    def test_keeps_its_word(self, rows: list[tuple[float, bool]], max_risk: float, min_coverage: float) -> None:
        confidence, correct = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        fit = fit_abstention(confidence, correct, max_risk, min_coverage)
        answered = confidence >= fit.threshold
        assert answered.mean() == pytest.approx(fit.coverage)
        assert answered.mean() >= min_coverage - 1e-9
        assert 1 - correct[answered].mean() == pytest.approx(fit.risk)
        assert fit.attained == (fit.risk <= max_risk + 1e-9)
        laxer = [t for t in confidence if t < fit.threshold]
        if fit.attained:
            assert all(1 - correct[confidence >= t].mean() > max_risk for t in laxer)
