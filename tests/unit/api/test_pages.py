"""`GET /`: JSON for programs, a page without any foreign part for people."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from mlopsproject.core.schemas import Welcome

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html", "", "text/plain"])
def test_programs_get_json(client, accept, tiny_bundle):
    response = client.get("/", headers={"Accept": accept})
    welcome = Welcome.model_validate(response.json())
    assert (welcome.model_version, welcome.docs) == (tiny_bundle.name, "/docs")
    assert welcome.classes == list(tiny_bundle.spec.classes)
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("accept", [BROWSER, "text/html"])
def test_browsers_get_the_page(client, accept):
    response = client.get("/", headers={"Accept": accept})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>")


def test_the_page_needs_nothing_from_elsewhere(client):
    page = client.get("/", headers={"Accept": BROWSER}).text
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", page)
    assert not re.findall(r"<link [^>]*href=\"(?!data:)|<(?:iframe|object|embed)\b", page)
    assert not re.findall(r"<script [^>]*src|@import|url\(", page)


def test_the_policy_allows_the_page_its_own_script_and_style_and_nothing_else(client):
    response = client.get("/", headers={"Accept": BROWSER})
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    for tag in ("script", "style"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert not re.findall(r"\son\w+=|\sstyle=", response.text)  # the policy would forbid these
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_page_says_what_the_answer_is_and_is_not(client):
    text = client.get("/", headers={"Accept": BROWSER}).text
    assert "apparent</b> expression, not what the person feels" in text
    assert "Article 5(1)(f)" in text


def test_behind_a_proxy_the_documentation_is_where_the_proxy_shows_it(serve):
    assert serve(root_path="/faces").get("/").json()["docs"] == "/faces/docs"
