"""`POST /predict/url`: what the route makes of a fetched picture, and of one that cannot be fetched.

That private addresses are refused is proven with `core.safe_fetch` itself; here only a public server is stood in for.
"""

from __future__ import annotations

import asyncio

import pytest

from mlopsproject.api.routes import predict
from mlopsproject.core import safe_fetch
from mlopsproject.core.safe_fetch import FetchError


@pytest.fixture
def web(monkeypatch, face):
    """A public web with one picture; every fetch is noted."""
    fetched = []

    async def fetch(url, *, max_bytes, timeout):
        fetched.append((url, max_bytes, timeout))
        if url == "https://example.org/face.jpg":
            return face
        if url == "https://example.org/page":
            return b"<html>"
        if url == "https://example.org/huge":
            raise FetchError("too_large", "The picture has more than 10,000,000 bytes.")
        raise FetchError("bad_status", "The server answered 404.")

    monkeypatch.setattr(safe_fetch, "fetch", fetch)
    return fetched


def test_a_picture_of_the_web_is_answered_like_an_upload(client, web, face):
    response = client.post("/predict/url", json={"url": "https://example.org/face.jpg", "face": "none"})
    assert response.status_code == 200
    answer = response.json()
    upload = client.post("/predict/", files={"data": face}).json()
    assert answer["probs"] == upload["probs"]
    row = client.app.state.service.log.knows(answer["faces"][0]["prediction_id"])
    assert row.source == "url"
    assert web == [("https://example.org/face.jpg", 10_000_000, 10)]


def test_what_cannot_be_fetched_is_a_bad_gateway(client, web):
    response = client.post("/predict/url", json={"url": "https://example.org/gone"})
    assert (response.status_code, response.json()["type"]) == (502, "bad_status")
    assert response.json()["detail"] == "The server answered 404."


def test_what_is_too_large_is_so_wherever_it_comes_from(client, web):
    response = client.post("/predict/url", json={"url": "https://example.org/huge"})
    assert (response.status_code, response.json()["type"]) == (413, "too_large")


def test_json_that_is_no_text_is_malformed(client):
    response = client.post("/predict/url", content=b'{"url": "\xff"}', headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (400, "malformed")


def test_a_picture_counts_as_fetched_until_it_is_answered(client, web, monkeypatch):
    predict_one = predict.predict_one

    async def noted(running, *args, **options):
        assert running.fetching.locked()
        return await predict_one(running, *args, **options)

    monkeypatch.setattr(client.app.state.service, "fetching", asyncio.Semaphore(1))
    monkeypatch.setattr(predict, "predict_one", noted)
    for _ in range(2):
        assert client.post("/predict/url", json={"url": "https://example.org/face.jpg"}).status_code == 200


def test_what_is_no_picture_is_refused(client, web):
    response = client.post("/predict/url", json={"url": "https://example.org/page"})
    assert (response.status_code, response.json()["type"]) == (400, "not_an_image")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/face.jpg", "http://localhost:8000/", "http://169.254.169.254/latest", "http://[::1]/"]
)
def test_addresses_of_this_machine_and_its_network_are_refused(client, url):
    response = client.post("/predict/url", json={"url": url})
    assert response.status_code == 422
    assert response.json()["type"] in ("forbidden_address", "forbidden_port")


@pytest.mark.parametrize(
    "url", ["ftp://example.org/face.jpg", "face.jpg", "file:///etc/passwd", "https://", "http://[", "http://a b/"]
)
def test_what_is_no_web_address_is_refused(client, url):
    response = client.post("/predict/url", json={"url": url})
    assert response.status_code == 422
    assert response.json()["type"] == ("bad_url" if url.startswith("http") else "invalid")


@pytest.mark.parametrize(
    "body",
    [{}, {"url": ""}, {"url": 5}, {"url": "https://example.org/", "face": "any"}, {"url": "x" * 3000}, [], "x", None],
)
def test_impossible_requests_are_refused(client, web, body):
    response = client.post("/predict/url", json=body)
    assert (response.status_code, response.json()["type"]) == (422, "invalid")
    assert not web


def test_a_field_that_does_not_exist_is_named(client, web):
    response = client.post("/predict/url", json={"url": "https://example.org/face.jpg", "faces": "all"})
    assert response.json()["detail"] == "faces: Extra inputs are not permitted."


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"url": NaN}'])
def test_broken_json_is_refused(client, body):
    response = client.post("/predict/url", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_more_fetches_than_allowed_are_busy(client, web, monkeypatch):
    monkeypatch.setattr(client.app.state.service, "fetching", asyncio.Semaphore(0))
    answer = client.post("/predict/url", json={"url": "https://example.org/face.jpg"})
    assert (answer.status_code, answer.json()["type"]) == (503, "busy")
    assert "Retry-After" in answer.headers
