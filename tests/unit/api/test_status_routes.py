"""Routes that say how the service fares: health, readiness, model, statistics."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.schemas import ModelInfo, Ready, Stats
from mlopsproject.core.spec import ModelSpec
from mlopsproject.prediction_log.log import LogStatus
from mlopsproject.prediction_log.settings import LogSettings


def test_a_living_process_says_so(client):
    assert client.get("/health").json() == {"status": "ok"}


def test_a_service_with_all_its_parts_is_ready(client, tiny_bundle):
    deadline = time.monotonic() + 10
    while (document := client.get("/ready").json())["status"] != "ok":
        assert time.monotonic() < deadline, document
        time.sleep(0.05)
    assert Ready.model_validate(document).model_version == tiny_bundle.name
    assert document["checks"] == {"model": "ok", "log": "ok", "database": "ok"}


def test_a_named_database_without_tables_is_not_ready_and_takes_no_request(serve, face, tmp_path):
    client = serve(database_url=f"sqlite:///{tmp_path}/named.db")
    assert client.post("/predict/", files={"data": face}).status_code == 503
    response = client.get("/ready")
    assert (response.status_code, response.json()["checks"]["database"]) == (503, "not_migrated")
    assert "python -m mlopsproject.log_migrate" in response.json()["details"]["log"]


def test_while_a_server_is_down_answers_go_on_in_a_degraded_state(serve, face):
    client = serve(database_url="postgresql://me@127.0.0.1:1/log")
    assert client.post("/predict/", files={"data": face}).status_code == 200
    deadline = time.monotonic() + 10
    while (response := client.get("/ready")).json()["checks"]["database"] != "down":
        assert time.monotonic() < deadline, response.json()
        time.sleep(0.05)
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


def test_a_service_that_cannot_keep_answers_is_not_ready(serve, monkeypatch):
    client = serve()
    status = LogStatus("failing", "down", error="No space left.")
    monkeypatch.setattr(client.app.state.service.log, "status", lambda: status)
    response = client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (503, "not_ready")
    assert response.json()["checks"] == {"model": "ok", "log": "failing", "database": "down"}
    assert response.json()["details"] == {"log": "No space left."}


def test_a_service_told_to_answer_anyway_is_only_degraded_then(serve, monkeypatch):
    client = serve(log_when_full="answer")
    monkeypatch.setattr(client.app.state.service.log, "status", lambda: LogStatus("failing", "down", error="full"))
    response = client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


def test_before_the_start_nothing_is_ready_and_nothing_breaks(tiny_bundle, tmp_path, face):
    app = create_app(ApiSettings(model_uri=str(tiny_bundle.path)), LogSettings(data_dir=tmp_path))
    client = TestClient(app)  # without its lifespan
    response = client.get("/ready")
    assert (response.status_code, response.json()["status"]) == (503, "not_ready")
    assert client.get("/health").status_code == 200
    for response in (client.post("/predict/", files={"data": face}), client.get("/model"), client.get("/stats")):
        assert (response.status_code, response.json()["type"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"


def test_the_model_tells_its_spec(client, tiny_bundle):
    document = client.get("/model").json()
    assert ModelInfo.model_validate(document).precision == "fp32"
    assert document["model_version"] == tiny_bundle.name
    assert ModelSpec.model_validate(document["spec"]) == tiny_bundle.spec


def test_statistics_count_what_was_answered(client, face, encode, smooth_picture):
    start = datetime.now(UTC)
    answers = [client.post("/predict/", files={"data": face}).json() for _ in range(3)]
    deadline = time.monotonic() + 10
    while (document := client.get("/stats", params={"since": start.isoformat()}).json())["total"] < 3:
        assert time.monotonic() < deadline, document
        time.sleep(0.05)
    stats = Stats.model_validate(document)
    assert stats.total == 3
    assert stats.mean_confidence == pytest.approx(answers[0]["confidence"])
    assert {entry.label: entry.count for entry in stats.classes if entry.count} == {answers[0]["predicted_emotion"]: 3}
    assert [(entry.model_version, entry.count) for entry in stats.models] == [(answers[0]["model_version"], 3)]
    assert start <= stats.models[0].first <= stats.models[0].last
    until = (start - timedelta(seconds=1)).isoformat()
    assert client.get("/stats", params={"until": until, "since": "2026-01-01"}).json()["total"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"},
        {"since": "2026-01-02", "until": "2026-01-01"},
        {"since": "2026-01-01", "until": "2026-01-01"},
        {"since": "2999-01-01"},
        {"since": "9999-12-31T23:59:59-23:59"},
        {"since": "0.5"},
        {"until": "1764000000"},
        {"since": "2026-13-01"},
        {"since": "1e400"},
        {"since": "-99999999999999999999"},
        {"since": "1970-01-02"},
        {"since": "2025-01-01", "until": "2026-01-03"},
    ],
)
def test_impossible_stretches_of_time_are_refused(client, query):
    response = client.get("/stats", params=query)
    assert (response.status_code, response.json()["type"]) == (422, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        {"until": "0001-01-01"},
        {"since": "0001-01-01T00:00:00+23:59", "until": "1970-01-03"},
        {"since": "2999-01-01T00:00:00", "until": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_stretches_beyond_all_calendars_are_cut_short(client, query):
    assert client.get("/stats", params=query).status_code == 200


def test_statistics_without_a_database_are_unavailable(serve, tmp_path):
    response = serve(database_url=f"sqlite:///{tmp_path}/named.db").get("/stats")
    assert (response.status_code, response.json()["type"]) == (503, "log_unavailable")
    assert response.headers["retry-after"]


def test_strangers_learn_no_addresses(serve, face, tmp_path, caplog):
    client = serve(log_when_full="refuse")
    (tmp_path / "serving").rename(tmp_path / "gone")
    (tmp_path / "serving").write_text("a file in the way", encoding="utf-8")
    stranger = TestClient(client.app, client=("203.0.113.9", 50000))
    for _ in range(2):
        answers = [who.post("/predict/", files={"data": face}) for who in (client, stranger)]
    inside, outside = [answer.json()["detail"] for answer in answers]
    assert outside == "The prediction log cannot be used for now."
    assert str(tmp_path) in inside
    assert f"A request is refused: {inside}" in caplog.text
    assert str(tmp_path) in client.get("/ready").json()["details"]["log"]
    answer = stranger.get("/ready").json()
    assert (answer["checks"]["log"], answer["details"]) == ("failing", {})
    for path in ("/ready", "/stats"):
        assert str(tmp_path) not in stranger.get(path).text


def test_with_a_key_its_owner_is_told_what_is_wrong_and_nobody_else(serve):
    key = "kX7pQ2mN9vR4tY6wZ8aB"
    client = serve(api_key=key)
    client.app.state.service.model.problem = "s3://bucket/models cannot be reached."
    assert client.get("/ready").json()["details"] == {}
    assert client.get("/ready").json()["checks"]["model"] == "not_replaced"
    details = client.get("/ready", headers={"X-API-Key": key}).json()["details"]
    assert details["model"] == "s3://bucket/models cannot be reached."


@pytest.mark.parametrize("path", ["/", "/health", "/ready"])
def test_probes_may_ask_for_the_head_only(client, path):
    head, whole = client.head(path), client.get(path)
    assert head.status_code == whole.status_code == 200
    assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_service_that_keeps_no_log_says_so(serve, face):
    client = serve(log_durability="off")
    answer = client.post("/predict/", files={"data": face}).json()
    body = {"prediction_id": answer["faces"][0]["prediction_id"], "label": answer["predicted_emotion"]}
    for response in (client.get("/stats"), client.post("/feedback", json=body)):
        assert (response.status_code, response.json()["type"]) == (404, "log_off")
        assert "retry-after" not in response.headers
