"""The second page: many files, one table, and nothing lost when something fails."""

from __future__ import annotations

import pytest
from tests.unit.frontend.pages import button, charts, give, words
from tests.unit.frontend.stub_api import problem

FACE = b"a face"


def figures(page) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def test_without_files_the_page_says_what_it_is_for(open_page):
    page = open_page("batch")
    assert "No pictures yet" in words(page)
    assert not page.download_button


def test_nothing_is_sent_before_it_is_asked_for(api, open_page):
    page = give(open_page("batch"), ("a.png", FACE), ("b.png", FACE))
    assert button(page, "Recognise 2 pictures")
    assert not api.asked


def test_every_file_gets_a_row_also_those_that_fail(open_page):
    page = give(open_page("batch"), ("a.png", FACE), ("b*.png", b"text"), ("a.png", FACE))
    button(page, "Recognise 3 pictures").click().run()
    assert figures(page) == {"Answered": "2", "Uncertain": "0", "Failed": "1"}
    table = page.dataframe[0].value
    assert list(table["file"]) == ["a.png", "b*.png", "a.png"]
    assert table["label"].to_list()[::2] == ["happy", "happy"]
    assert table["p_happy"].to_list()[::2] == pytest.approx([90, 90])
    assert table["problem"].to_list()[1] == "The file is not a picture."
    assert "- b*.png: The file is not a picture." in words(page)
    assert charts(page) == 1
    assert not page.button  # there is nothing left to send


def test_the_table_can_be_downloaded(open_page):
    page = give(open_page("batch"), ("=1+1.png", FACE))
    button(page, "Recognise 1 picture").click().run()
    (download,) = page.download_button
    assert download.label == "Download as CSV"
    # Streamlit's own button on the table writes what is shown.
    assert page.dataframe[0].value["file"].to_list() == ["'=1+1.png"]


def test_files_that_all_fail_have_reasons_and_no_empty_chart(open_page):
    page = give(open_page("batch"), ("a.txt", b"text"))
    button(page, "Recognise 1 picture").click().run()
    assert figures(page)["Failed"] == "1"
    assert charts(page) == 0


def test_of_many_failures_some_are_named_and_the_rest_counted(open_page):
    page = give(open_page("batch"), *[(f"{number}.txt", b"text") for number in range(15)])
    button(page, "Recognise 15 pictures").click().run()
    assert "- and 3 more, all of them in the table" in words(page)


def test_what_had_no_answer_can_be_sent_again(api, open_page):
    answered = api.says["POST /predict/batch"]
    api.says["POST /predict/batch"] = problem(500, "internal", "Boom")
    page = give(open_page("batch"), ("a.png", FACE), ("b.png", FACE))
    button(page, "Recognise 2 pictures").click().run()
    assert figures(page) == {"Answered": "0", "Uncertain": "0", "Failed": "2"}
    api.says["POST /predict/batch"] = answered
    button(page, "Send 2 pictures again").click().run()
    assert figures(page) == {"Answered": "2", "Uncertain": "0", "Failed": "0"}


def test_a_service_that_is_down_costs_no_file(api, open_page):
    page = give(open_page("batch"), ("a.png", FACE))
    api.stop()
    button(page, "Recognise 1 picture").click().run()
    assert "a.png: The service does not answer." in words(page)
    assert button(page, "Send 1 picture again")
    assert page.download_button


def test_taking_the_files_away_begins_anew(open_page):
    page = give(open_page("batch"), ("a.png", FACE))
    button(page, "Recognise 1 picture").click().run()
    page.file_uploader[0].clear().run()
    assert "No pictures yet" in words(page)
    assert not page.download_button
