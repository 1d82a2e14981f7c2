"""The third page: what the log holds over time, what the drift job found, and the headline of the model's card."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from tests.drift_examples import make_column, make_performance, make_report
from tests.unit.frontend.pages import charts, words
from tests.unit.frontend.stub_api import MODEL, Answer, drift, model, problem, stats

from mlopsproject.core.drift_reports import report_id
from mlopsproject.frontend.report_frame import restricted


def test_the_figures_are_those_of_the_service(open_page):
    page = open_page("monitoring")
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
    assert charts(page) == 5
    text = words(page)
    assert "- stub-0123456789ab: **10**, from 01 Jan 23:30 to 02 Jan 00:00" in text
    assert "3 of 4 labels name what the model said." in text
    assert "- brightness: **0.50**" in text
    assert "Measured on 300 test pictures of drawn, trained on 2,000, 381,493 parameters." in text


def test_nothing_yet_is_said_and_not_drawn(api, open_page):
    api.says["GET /stats"] = stats(0, 0, 0, 0, 0)
    page = open_page("monitoring")
    assert "Nothing yet" in words(page)
    assert charts(page) == 0
    assert [metric.value for metric in page.metric[:6]] == ["0", "–", "–", "none yet", "–", "0"]


@pytest.mark.parametrize(
    ("span", "length"),
    [
        ("Hour", timedelta(hours=1)),
        ("Day", timedelta(days=1)),
        ("Week", timedelta(days=7)),
        ("Month", timedelta(days=30)),
        ("Quarter", timedelta(days=91)),
    ],
)
def test_the_stretch_of_time_can_be_chosen(api, open_page, span, length):
    page = open_page("monitoring")
    page.button_group[0].set_value(span).run()
    asked = parse_qs(api.of("/stats")[-1].query)
    since, until = (datetime.fromisoformat(asked[name][0]) for name in ("since", "until"))
    assert until - since == length
    assert abs(datetime.now(UTC) - until) < timedelta(seconds=20)


def test_a_log_that_cannot_be_asked_is_told_and_the_models_card_stays(api, open_page):
    api.says["GET /stats"] = problem(503, "database", "The database does not answer.")
    text = words(open_page("monitoring"))
    assert "The database does not answer." in text
    assert "The model that answers now" in text


def test_a_model_whose_spec_says_little_is_shown_with_what_there_is(api, open_page):
    api.says["GET /model"] = Answer({**model().body, "spec": {"classes": "none", "metrics": [], "network": None}})
    page = open_page("monitoring")
    assert [metric.value for metric in page.metric[6:]] == ["–"] * 4
    assert "It knows no class." in words(page)


def test_without_a_model_the_log_stands_alone(api, open_page):
    api.says["GET /model"] = problem(503, "not_ready", "No model is loaded.")
    text = words(open_page("monitoring"))
    assert "The model that answers now" not in text
    assert "Faces answered" in [metric.label for metric in open_page("monitoring").metric]


def test_without_feedback_there_is_a_sentence_in_place_of_its_chart(api, open_page):
    api.says["GET /stats"] = stats(feedback=0, agrees=0)
    page = open_page("monitoring")
    assert charts(page) == 4
    assert "Nobody said in this stretch of time what a face looks like to them." in words(page)


def test_the_drift_reports_are_asked_for_but_not_their_pages(api, open_page):
    api.says |= drift(make_report(MODEL))
    page = open_page("monitoring")
    page.run()
    pictures, pages = ([one for one in api.asked if one.path.endswith(f"/{kind}")] for kind in ("picture", "report"))
    assert (len(pictures), len(pages)) == (1, 0)


def test_drift_is_told_in_words_with_what_moved_and_how_far(api, open_page):
    classes = make_column(
        "predicted", distance=0.15, reference={"happy": 0.4, "sad": 0.6}, current={"happy": 0.55, "sad": 0.45}
    )
    columns = [make_column(), classes, make_column("contrast", drifted=False)]
    api.says |= drift(make_report(MODEL, columns=columns))
    text = words(open_page("monitoring"))
    assert "Drift: the faces look different" in text
    assert "2 of 3 columns moved" in text
    assert "- **brightness**: 25.0 % of the faces apart, mean 0.5 → 0.25" in text
    assert "- **predicted**: 15.0 % of the faces apart, most of all happy 40.0 % → 55.0 %" in text
    assert "**contrast**" not in text
    assert "Report of 31 Jan 2026 23:30 UTC: 500 faces of the prediction log against 1,000" in text


def test_no_drift_and_too_little_data_are_told_apart(api, open_page):
    calm = [make_column(drifted=False, distance=0.02, p_value=0.6)]
    api.says |= drift(make_report(MODEL, verdict="ok", columns=calm, drifted_share=0.0))
    assert "None of 1 columns moved" in words(open_page("monitoring"))
    few = make_report(MODEL, verdict="not_enough_data", columns=[], drifted_share=None, current_rows=57)
    api.says |= drift(few)
    api.says |= {
        f"GET /drift/{report_id(few)}/{name}": problem(404, "no_report", "It lacks this file.")
        for name in ("picture", "report")
    }
    page = open_page("monitoring")
    assert "57 different faces were there to compare; at least 100 are needed." in words(page)
    page.toggle[0].set_value(True).run()
    assert "This report has no page" in words(page)


@pytest.mark.parametrize(
    ("changes", "said", "figures"),
    [
        ({}, "Less accurate than on test", ["400", "75.0 %", "70.0 – 80.0 %", "90.0 %"]),
        (
            {"verdict": "not_enough_data", "labels": 0, "accuracy": None, "low": None, "high": None},
            "Too few labels to tell",
            ["0", "90.0 %"],
        ),
        ({"verdict": "chosen_labels"}, "Labels that were chosen", ["400", "75.0 %", "70.0 – 80.0 %", "90.0 %"]),
        ({"verdict": "ok"}, "As accurate as on test", ["400", "75.0 %", "70.0 – 80.0 %", "90.0 %"]),
    ],
)
def test_accuracy_by_labels_is_shown_beside_the_one_on_test(api, open_page, changes, said, figures):
    api.says |= drift(make_report(MODEL, performance=make_performance(**changes)))
    page = open_page("monitoring")
    assert said in words(page)
    assert "Labelled faces look like a random sample." in words(page)
    assert [metric.value for metric in page.metric[6:-4]] == figures


def test_the_full_report_is_fetched_when_it_is_asked_for_and_can_be_downloaded(api, open_page):
    report = make_report(MODEL)
    api.says |= drift(report)
    page = open_page("monitoring")
    page.toggle[0].set_value(True).run()
    page.run()
    assert len([one for one in api.asked if one.path.endswith("/report")]) == 1
    assert len(page.get("download_button")) == 1


def test_the_page_of_a_report_may_load_nothing():
    page = restricted(b"<!doctype html><html><head><title>x</title></head><body></body></html>")
    assert page.startswith('<!doctype html><html><head><meta http-equiv="Content-Security-Policy" content="default-src')
    assert restricted(b"no html").startswith("<meta http-equiv")


def test_a_model_without_a_report_is_told_how_one_is_made_and_older_ones_are_still_there(api, open_page):
    other = make_report("other-ba9876543210")
    api.says["GET /drift/history"] = drift(other)["GET /drift/history"]
    page = open_page("monitoring")
    assert "No drift report about this model yet" in words(page)
    assert "uv run invoke drift" in page.code[0].value
    assert charts(page) == 6
    assert page.dataframe[0].value["model"].tolist() == ["other-ba9876543210"]


def test_the_history_has_every_verdict(api, open_page):
    reports = [
        make_report(MODEL, 48),
        make_report(MODEL, 24, verdict="not_enough_data", columns=[], drifted_share=None),
        make_report("older-ba9876543210", verdict="ok", columns=[make_column(drifted=False)]),
    ]
    entries = [{"id": report_id(report), "report": report.model_dump(mode="json")} for report in reports]
    api.says |= drift(reports[0]) | {"GET /drift/history": Answer(entries)}
    table = open_page("monitoring").dataframe[-1].value
    assert table["verdict"].tolist() == ["drift", "not enough data", "no drift"]
    assert table["moved"].tolist() == ["brightness", "–", "–"]
    assert table["model"].tolist() == [MODEL, MODEL, "older-ba9876543210"]


def test_a_picture_that_is_damaged_or_refused_leaves_the_rest(api, open_page):
    report = make_report(MODEL)
    path = f"GET /drift/{report_id(report)}/picture"
    api.says |= drift(report) | {path: Answer(b"\x89PNG\r\n\x1a\n", content_type="image/png")}
    assert "The report's picture is damaged." in words(open_page("monitoring"))
    api.says[path] = problem(503, "store", "The store does not answer.")
    text = words(open_page("monitoring"))
    assert "The store does not answer." in text
    assert "Drift: the faces look different" in text


def test_a_store_that_cannot_be_asked_is_told_and_the_rest_stays(api, open_page):
    api.says["GET /drift/history"] = problem(503, "store", "The store does not answer.")
    page = open_page("monitoring")
    assert "The store does not answer." in words(page)
    assert charts(page) == 5


def test_the_model_is_asked_for_once(api, open_page):
    page = open_page("monitoring")
    page.run()
    assert (len(api.of("/model")), len(api.of("/stats"))) == (1, 2)
