"""Drift reports over HTTP: of the store, about the model that answers, with page and picture."""

from __future__ import annotations

import threading
import time

import pytest
from starlette.testclient import TestClient
from tests.drift_examples import PAGE, PICTURE, make_performance, make_report, publish

from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.commands import job_command
from mlopsproject.core.drift_reports import DriftReports
from mlopsproject.core.errors import StoreError
from mlopsproject.core.schemas import DriftEntry, DriftReport
from mlopsproject.prediction_log.settings import LogSettings

KEY = "kX7pQ2mN9vR4tY6wZ8aB"
OTHER = "other-ba9876543210"
UNKNOWN = "2026-01-31T23-30-00-000000Z-0123456789ab"


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    """The address of an empty store; the model that answers lies elsewhere."""
    return str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}/models"


@pytest.fixture
def start(serve, store):
    return lambda **settings: serve(model_store=store, log_durability="off", **settings)


def problem(response):
    return response.status_code, response.json()["type"]


def test_until_a_report_is_made_there_is_none_and_the_answer_says_how_to_make_one(start):
    client = start()
    response = client.get("/drift")
    assert problem(response) == (404, "no_report")
    assert job_command("drift", "current=log") in response.json()["detail"]
    assert client.get("/drift/history").json() == []


def test_the_newest_report_about_the_model_that_answers_is_given(start, store, tmp_path, tiny_bundle):
    client = start()
    publish(store, tmp_path / "run", make_report(tiny_bundle.name))
    newest = make_report(tiny_bundle.name, hours=24, verdict="ok", performance=make_performance())
    publish(store, tmp_path / "run", newest)
    publish(store, tmp_path / "run", make_report(OTHER, hours=48))
    answer = client.get("/drift")
    assert answer.headers["content-type"] == "application/json"
    assert DriftReport.model_validate(answer.json()) == newest


def test_a_report_about_another_model_only_is_none(start, store, tmp_path):
    publish(store, tmp_path / "run", make_report(OTHER))
    assert problem(start().get("/drift")) == (404, "no_report")


def test_another_model_has_another_report(serve, make_bundle, tmp_path):
    folder = tmp_path / "store"
    first, second = (make_bundle(folder, seed=seed) for seed in (1, 2))
    for bundle in (first, second):
        publish(folder, tmp_path / "run", make_report(bundle.name))
    for bundle in (first, second):
        client = serve(model_uri=bundle.name, model_store=str(folder), log_durability="off")
        assert client.get("/drift").json()["bundle"] == bundle.name


def test_the_history_is_of_all_models_the_newest_first(start, store, tmp_path, tiny_bundle):
    names = [
        publish(store, tmp_path / "run", make_report(bundle, hours=hours))
        for hours, bundle in enumerate((tiny_bundle.name, OTHER, tiny_bundle.name))
    ]
    client = start()
    entries = [DriftEntry.model_validate(each) for each in client.get("/drift/history").json()]
    assert [entry.id for entry in entries] == names[::-1]
    assert [entry.report.bundle for entry in entries] == [tiny_bundle.name, OTHER, tiny_bundle.name]
    assert [each["id"] for each in client.get("/drift/history?limit=2").json()] == names[:0:-1]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5", "", "99999999999999999999"])
def test_impossible_limits_are_refused(client, limit):
    assert problem(client.get("/drift/history", params={"limit": limit})) == (422, "invalid")


def test_page_and_picture_of_a_report(start, store, tmp_path):
    name = publish(store, tmp_path / "run", make_report(OTHER))
    client = start()
    page = client.get(f"/drift/{name}/report")
    assert page.content == PAGE
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"].split("; ")
    # Scripts of the page run without the rights of this origin, and reach nothing.
    assert policy[:2] == ["sandbox allow-scripts", "default-src 'none'"]
    assert not any("http" in part or "connect-src" in part or "self" in part for part in policy)
    picture = client.get(f"/drift/{name}/picture")
    assert (picture.content, picture.headers["content-type"]) == (PICTURE, "image/png")
    assert picture.headers["x-content-type-options"] == "nosniff"


def test_a_report_without_page_or_picture_says_so(start, store, tmp_path):
    DriftReports(store).publish(make_report(), tmp_path)
    client = start()
    for kind in ("report", "picture"):
        assert problem(client.get(f"/drift/{UNKNOWN}/{kind}")) == (404, "no_report")


@pytest.mark.parametrize(
    "name",
    [
        UNKNOWN,
        "history",
        "drift.json",
        "%2e%2e",
        "2026-01-31T23-30-00-000000Z-0123456789AB",
        f"{UNKNOWN}%0a",
        "%00",
        "ä",
        "x" * 4000,
    ],
)
@pytest.mark.parametrize("kind", ["report", "picture"])
def test_unknown_and_malformed_names_lead_nowhere(client, name, kind):
    assert problem(client.get(f"/drift/{name}/{kind}")) == (404, "no_report")


def test_a_damaged_report_is_not_taken_for_none(serve, tmp_path, tiny_bundle, caplog):
    name = publish(tmp_path / "store", tmp_path / "run", make_report(tiny_bundle.name))
    (tmp_path / "store" / "drift" / name / "drift.json").write_bytes(b'{"verdict": "o')
    client = serve(model_store=str(tmp_path / "store"), log_durability="off")
    stranger = TestClient(client.app, client=("203.0.113.9", 50000))
    assert problem(client.get("/drift")) == (503, "unreadable_report")
    assert f"{name}/drift.json is damaged" in client.get("/drift").json()["detail"]
    assert stranger.get("/drift").json()["detail"] == "The drift report cannot be read."
    # One damaged report must not hide the others.
    assert client.get("/drift/history").json() == []
    assert f"A request is refused: {tmp_path}" in caplog.text


def test_a_store_that_cannot_be_reached_is_told_apart_from_an_empty_one(serve, monkeypatch, tmp_path):
    from fsspec.implementations.memory import MemoryFileSystem

    def gone(*_, **__):
        raise ConnectionError("no route to host")

    for name in ("ls", "cat_file"):
        monkeypatch.setattr(MemoryFileSystem, name, gone)
    client = serve(model_store=f"memory://{tmp_path.name}", log_durability="off")
    for path in ("/drift", "/drift/history", f"/drift/{UNKNOWN}/report"):
        assert problem(client.get(path)) == (503, "unreadable_report")


def test_strangers_do_not_learn_where_reports_and_pictures_lie(serve, tmp_path, tiny_bundle):
    report = make_report(tiny_bundle.name, source="pictures", current="/srv/cameras/hall")
    store = str(tmp_path / "store")
    publish(store, tmp_path / "run", report)
    client = serve(model_store=store, log_durability="off")
    stranger = TestClient(client.app, client=("203.0.113.9", 50000))
    for path in ("/drift", "/drift/history"):
        assert store in client.get(path).text
        assert "/srv/cameras/hall" in client.get(path).text
        text = stranger.get(path).text
        assert str(tmp_path) not in text
        assert "/srv" not in text
    assert stranger.get("/drift").json()["current"] == "hall"
    with_key = serve(model_store=store, log_durability="off", api_key=KEY)
    assert store in with_key.get("/drift", headers={"X-API-Key": KEY}).json()["report"]


def test_before_the_start_no_report_is_read(tiny_bundle, tmp_path):
    client = TestClient(create_app(ApiSettings(model_uri=str(tiny_bundle.path)), LogSettings(data_dir=tmp_path)))
    assert problem(client.get("/drift")) == (503, "not_ready")


def test_a_slow_store_is_asked_by_few_and_holds_up_nothing_else(client, face, monkeypatch):
    service, gate = client.app.state.service, threading.Event()
    monkeypatch.setattr(service.drift_reports, "history", lambda limit: gate.wait(20) and [])
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(client.get("/drift/history"))) for _ in range(18)]
    for thread in threads:
        thread.start()
    while service.store_threads.waiting < 16:
        time.sleep(0.01)
    start = time.monotonic()
    assert problem(client.get("/drift")) == (503, "busy")
    assert client.post("/predict/", files={"data": face}).status_code == 200
    for path in ("/health", "/stats", "/metrics"):
        assert client.get(path).status_code == 200
    assert time.monotonic() - start < 5
    gate.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert service.store_threads.waiting == 0


def test_a_store_that_takes_too_long_is_given_up(serve, monkeypatch):
    client, gate = serve(request_timeout_seconds=0.2, log_durability="off"), threading.Event()
    monkeypatch.setattr(client.app.state.service.drift_reports, "latest", lambda name: gate.wait(20))
    response = client.get("/drift")
    gate.set()
    assert problem(response) == (503, "timeout")
    assert response.json()["detail"] == "The store of drift reports took longer than 0.2 s."


def test_a_store_whose_library_is_missing_is_a_problem_of_this_side(client, monkeypatch):
    def missing(*_):
        raise StoreError("s3://bucket needs the package s3fs, which is not installed.")

    monkeypatch.setattr(client.app.state.service.drift_reports, "latest", missing)
    assert problem(client.get("/drift")) == (503, "unreadable_report")
