"""The second page: many files, one table, and nothing lost when something fails."""

from __future__ import annotations

import csv
import io

import pytest
from tests.unit.frontend.pages import button, charts, give, words
from tests.unit.frontend.stub_api import problem

from mlopsproject.frontend.csv_table import to_csv
from mlopsproject.frontend.views import batch

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
    assert list(table["file"]) == ["a.png (1)", "b*.png", "a.png (2)"]
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


def test_files_of_the_same_name_are_told_apart_in_the_list_of_failures_and_in_the_csv(open_page, monkeypatch):
    written = []
    monkeypatch.setattr(batch, "to_csv", lambda rows: written.append(to_csv(rows)) or written[-1])
    page = give(open_page("batch"), ("a.png", FACE), ("a.png", b"text"))
    button(page, "Recognise 2 pictures").click().run()
    assert "- a.png (2): The file is not a picture." in words(page)
    rows = csv.DictReader(io.StringIO(written[-1].decode("utf-8-sig"), newline=""))
    assert [(row["file"], row["label"]) for row in rows] == [("a.png (1)", "happy"), ("a.png (2)", "")]


def test_each_picture_has_a_thumbnail_up_to_a_bound(open_page, png, monkeypatch):
    monkeypatch.setattr(batch, "_THUMBNAILS", 2)
    page = give(open_page("batch"), *[(f"{number}.png", png + FACE) for number in range(3)])
    button(page, "Recognise 3 pictures").click().run()
    shown = page.dataframe[0].value["picture"].to_list()
    assert [str(source).startswith("data:image/webp;base64,") for source in shown] == [True, True, False]


def test_a_file_that_is_no_picture_has_no_thumbnail(open_page):
    page = give(open_page("batch"), ("a.png", FACE))
    button(page, "Recognise 1 picture").click().run()
    assert page.dataframe[0].value["picture"].to_list() == [None]


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
