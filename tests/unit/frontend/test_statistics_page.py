"""The third page: what the log holds, and the headline of the model's card."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from tests.unit.frontend.pages import charts, words
from tests.unit.frontend.stub_api import Answer, model, problem, stats


def test_the_figures_are_those_of_the_service(open_page):
    page = open_page("statistics")
    assert {metric.label: metric.value for metric in page.metric} == {
        "Faces answered": "10",
        "Uncertain": "30.0 %",
        "Mean confidence": "80.0 %",
        "Mean latency": "4.2 ms",
        "Feedback agrees": "75.0 %",
        "Rows pending": "2",
        "Accuracy": "73.3 %",
        "Macro F1": "70.0 %",
        "Calibration error": "2.0 %",
        "Threshold": "70.0 %",
    }
    assert charts(page) == 2
    text = words(page)
    assert "- stub-0123456789ab: **10**" in text
    assert "- brightness: **0.50**" in text
    assert "Measured on 300 test pictures of drawn, trained on 2,000, 381,493 parameters." in text


def test_nothing_yet_is_said_and_not_drawn(api, open_page):
    api.says["GET /stats"] = stats(0, 0, 0, 0, 0)
    page = open_page("statistics")
    assert "Nothing yet" in words(page)
    assert charts(page) == 0
    assert [metric.value for metric in page.metric[:6]] == ["0", "–", "–", "–", "none yet", "0"]


@pytest.mark.parametrize(
    ("span", "length"),
    [("Hour", timedelta(hours=1)), ("Day", timedelta(days=1)), ("Month", timedelta(days=30))],
)
def test_the_stretch_of_time_can_be_chosen(api, open_page, span, length):
    page = open_page("statistics")
    page.button_group[0].set_value(span).run()
    (since,) = parse_qs(api.of("/stats")[-1].query)["since"]
    assert datetime.now(UTC) - datetime.fromisoformat(since) == pytest.approx(length, abs=timedelta(seconds=20))


def test_a_log_that_cannot_be_asked_is_told_and_the_models_card_stays(api, open_page):
    api.says["GET /stats"] = problem(503, "database", "The database does not answer.")
    text = words(open_page("statistics"))
    assert "The database does not answer." in text
    assert "The model that answers now" in text


def test_a_model_whose_spec_says_little_is_shown_with_what_there_is(api, open_page):
    api.says["GET /model"] = Answer({**model().body, "spec": {"classes": "none", "metrics": [], "network": None}})
    page = open_page("statistics")
    assert [metric.value for metric in page.metric[6:]] == ["–"] * 4
    assert "It knows no class." in words(page)


def test_without_a_model_the_statistics_stand_alone(api, open_page):
    api.says["GET /model"] = problem(503, "not_ready", "No model is loaded.")
    text = words(open_page("statistics"))
    assert "The model that answers now" not in text
    assert "Faces answered" in [metric.label for metric in open_page("statistics").metric]


def test_the_model_is_asked_for_once(api, open_page):
    page = open_page("statistics")
    page.run()
    assert (len(api.of("/model")), len(api.of("/stats"))) == (1, 2)
