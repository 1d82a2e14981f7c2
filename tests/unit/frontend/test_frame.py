"""The frame around the pages: how the service fares, what the page is for, and settings that cannot be."""

from __future__ import annotations

import pytest
from tests.unit.frontend.pages import give, words
from tests.unit.frontend.stub_api import Answer, ready


def test_the_first_page_says_what_it_is_for_and_what_it_must_not_be_used_for(open_page):
    text = words(open_page())
    assert "Recognise a picture" in text
    assert "This model knows: angry, fear, happy, sad, surprise." in text
    assert "The answer is the **apparent** expression" in text
    assert "(AI Act, Regulation (EU) 2024/1689, Article 5(1)(f))" in text


def test_a_service_that_is_well_is_named_with_its_model(open_page):
    sidebar = "\n".join(element.value for element in [*open_page().sidebar.markdown, *open_page().sidebar.caption])
    assert "Service ready" in sidebar
    assert "stub" in sidebar


def test_a_service_with_a_problem_says_which_and_the_page_stays_as_it_is(api, open_page):
    api.says["GET /ready"] = ready("degraded", database="connection refused")
    page = open_page()
    assert "Service works, with a problem" in words(page)
    assert "database: connection refused" in words(page)
    assert not page.error
    assert not page.warning


def test_a_service_that_is_not_ready_says_why_above_the_page(api, open_page):
    api.says["GET /ready"] = ready("not_ready", model="not loaded")
    page = open_page()
    assert page.warning[0].value.startswith("**The service is not ready.** model")
    assert "No picture yet" in words(page)


def test_a_service_that_is_gone_is_told_and_the_page_can_still_be_read(api, open_page):
    api.stop()
    page = open_page()
    assert page.error[0].value == (
        '**The service does not answer.** Start it with "uv run invoke api". '
        "This page goes on by itself once it answers."
    )
    assert "Service does not answer" in words(page)
    assert "Article 5(1)(f)" in words(page)


def test_a_picture_given_meanwhile_is_recognised_once_the_service_is_back(api, open_page, monkeypatch, png):
    answered = api.says.pop("GET /ready"), api.says.pop("POST /predict/")
    gone = Answer(b"<html>Bad Gateway</html>", 502, content_type="text/html")
    api.says |= {"GET /ready": gone, "POST /predict/": gone}
    page = give(open_page(), ("face.png", png))
    assert "Waiting for the service." in words(page)
    assert len(page.error) == 1  # said once, above the page
    api.says |= {"GET /ready": answered[0], "POST /predict/": answered[1]}
    monkeypatch.setattr("mlopsproject.frontend.session._SHORT", 0)
    page.run()
    assert "## happy" in words(page)
    assert "Service ready" in words(page)


def test_a_service_that_goes_while_a_picture_is_given_shows_in_the_frame_at_once(api, open_page, png):
    page = open_page()
    api.says["POST /predict/"] = Answer(b"<html>Bad Gateway</html>", 502, content_type="text/html")
    give(page, ("face.png", png))
    assert "Service does not answer" in words(page)
    assert "Waiting for the service." in words(page)


def test_something_that_is_not_the_api_is_told_apart(api, open_page):
    api.says["GET /ready"] = Answer(b"<html>Welcome</html>", content_type="text/html")
    assert "BACKEND may name another server" in words(open_page())


@pytest.mark.parametrize("status", ["ok", "not_ready"])
def test_the_service_is_not_asked_how_it_fares_at_every_click(api, open_page, status):
    api.says["GET /ready"] = ready(status)
    page = open_page()
    page.run()
    page.run()
    assert len(api.of("/ready")) == 1


def test_an_impossible_setting_is_named_on_the_page(open_page, monkeypatch):
    monkeypatch.setenv("BACKEND", "nonsense")
    assert "BACKEND is not possible" in words(open_page())


def test_what_the_service_says_is_shown_as_it_is_and_not_as_markup(api, open_page, png):
    document = api.says["POST /predict/"].body
    api.says["POST /predict/"] = Answer({**document, "model_version": "<b>[x](http://a)</b>"})
    page = give(open_page(), ("face.png", png))
    assert any("\\<b\\>\\[x\\]\\(http\\://a\\)\\</b\\>" in caption.value for caption in page.caption)
