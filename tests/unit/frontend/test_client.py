"""The client gives what the API says as schemas, and every failure as one error with words for people."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, datetime

import pytest
from tests.drift_examples import PAGE, make_report
from tests.unit.frontend.stub_api import MODEL, Answer, drift, face, picture, problem, ready

from mlopsproject.core.drift_reports import report_id
from mlopsproject.frontend.client import ApiClient, ApiError
from mlopsproject.frontend.settings import FrontendSettings


def failure(ask, *arguments) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(*arguments)
    return caught.value


def test_a_picture_is_sent_as_a_form_without_its_name(api, client):
    answer = client.predict(b"pixels", "all")
    (request,) = api.of("/predict/")
    assert request.form == {"face": b"all", "data": b"pixels"}
    assert answer.predicted_emotion == "happy"
    assert answer.faces[0].box == (10, 10, 40, 40)


def test_several_pictures_are_sent_in_order(api, client):
    answer = client.batch([b"face 1", b"nothing", b"face 2"], "auto")
    (request,) = api.of("/predict/batch")
    assert request.files == [b"face 1", b"nothing", b"face 2"]
    assert [entry.result is not None for entry in answer.results] == [True, False, True]


def test_the_other_requests_say_what_the_api_asks_for(api, client):
    client.predict_url("https://example.org/a.jpg", "all")
    client.feedback("0" * 32, "sad")
    client.stats(datetime(2026, 1, 1, tzinfo=UTC))
    assert api.of("/predict/url")[0].json == {"url": "https://example.org/a.jpg", "face": "all"}
    assert api.of("/feedback")[0].json == {"prediction_id": "0" * 32, "label": "sad"}
    assert api.of("/stats")[0].query == "since=2026-01-01T00%3A00%3A00%2B00%3A00"


def test_drift_reports_are_read_with_their_files(api, client):
    report = make_report(MODEL)
    api.says |= drift(report)
    assert client.drift() == report
    (entry,) = client.drift_history(7)
    assert (entry.id, entry.report) == (report_id(report), report)
    assert api.of("/drift/history")[0].query == "limit=7"
    assert client.drift_file(entry.id, "report") == PAGE
    assert client.drift_file(entry.id, "picture").startswith(b"\x89PNG")


def test_no_drift_report_is_an_answer_and_no_such_route_is_not(api, client):
    assert client.drift() is None
    api.says["GET /drift"] = problem(404, "not_found", "There is nothing here.")
    assert failure(client.drift).status == 404


def test_a_file_of_a_report_that_is_something_else_is_not_believed(api, client):
    api.says["GET /drift/x/picture"] = Answer(b"<html>Welcome</html>", content_type="text/html")
    assert failure(client.drift_file, "x", "picture").kind == "foreign"
    assert failure(client.drift_file, "x", "report").status == 404


def test_a_face_is_explained_by_its_box_and_a_picture_without_one_as_a_whole(api, client):
    client.explain(b"pixels", (1, 2, 3, 4))
    client.explain(b"pixels", None)
    first, second = api.of("/explain")
    assert json.loads(first.form["boxes"]) == [[1, 2, 3, 4]]
    assert "face" not in first.form
    assert second.form["face"] == b"none"


def test_the_key_goes_along_if_there_is_one(api, client, monkeypatch):
    client.ready()
    monkeypatch.setenv("BACKEND_API_KEY", "k-0123456789")
    ApiClient(FrontendSettings.read(None)).ready()
    without, with_key = api.of("/ready")
    assert "x-api-key" not in without.headers
    assert with_key.headers["x-api-key"] == "k-0123456789"


def test_the_api_may_live_under_a_path(api, monkeypatch):
    monkeypatch.setenv("BACKEND", f"{api.address}/faces/")
    api.says["GET /faces/ready"] = ready()
    assert ApiClient(FrontendSettings.read(None)).ready().status == "ok"


def test_a_service_that_is_not_ready_says_so_itself(api, client):
    api.says["GET /ready"] = ready("not_ready", model="not loaded")
    assert client.ready().checks["model"] == "not loaded"


def test_nothing_answers(api, client):
    api.stop()
    error = failure(client.ready)
    assert (error.kind, error.is_passing) == ("down", True)
    assert error.message == "The service does not answer."
    assert "invoke api" in error.fix  # it would run on this machine


def test_a_connection_that_breaks_off_counts_as_no_answer(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1024)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        monkeypatch.setenv("BACKEND", f"http://127.0.0.1:{server.getsockname()[1]}")
        error = failure(ApiClient(FrontendSettings.read(None)).ready)
    assert error.kind == "down"


def test_an_answer_that_takes_too_long(api, monkeypatch):
    monkeypatch.setenv("BACKEND_TIMEOUT_SECONDS", "0.1")
    api.says["POST /predict/"] = Answer({}, seconds=0.5)
    error = failure(ApiClient(FrontendSettings.read(None)).predict, b"pixels", "all")
    assert (error.kind, error.is_passing) == ("slow", True)
    assert error.message == "The service took longer than 0.1 seconds."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "not_an_image"),
        (404, "unknown"),
        (413, "too_large"),
        (415, "wrong_type"),
        (422, "x"),
        (502, "unreachable"),
        (502, "not_a_picture"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_api(api, client, status, kind):
    api.says["POST /predict/"] = problem(status, kind, "The file is not a picture.")
    error = failure(client.predict, b"text", "all")
    assert (error.kind, error.message, error.fix) == ("refused", "The file is not a picture.", "")
    assert (error.status, error.request_id, error.is_passing) == (status, "r" * 32, False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_does_not_fit_is_for_the_operator(api, client, status):
    api.says["POST /predict/"] = problem(status, "wrong_key", "Send the key as X-API-Key.")
    error = failure(client.predict, b"pixels", "all")
    assert "BACKEND_API_KEY" in error.fix
    assert error.is_passing  # the same picture is answered once the key is there


@pytest.mark.parametrize(
    ("status", "after", "fix"),
    [
        (429, {"Retry_After": "30"}, "Please try again in 30 seconds."),
        (503, {"Retry_After": "1"}, "Please try again in a moment."),
        (503, {"Retry_After": "Fri, 02 Jan 2026 00:00:00 GMT"}, "Please try again in a moment."),
        (503, {}, "Please try again in a moment."),
    ],
)
def test_a_busy_service_says_when_to_come_back(api, client, status, after, fix):
    api.says["POST /predict/"] = problem(status, "busy", "Too many requests.", **after)
    error = failure(client.predict, b"pixels", "all")
    assert (error.kind, error.message, error.fix, error.is_passing) == ("busy", "Too many requests.", fix, True)


def test_an_error_of_the_service_itself_shows_nothing_of_its_inside(api, client):
    api.says["POST /predict/"] = problem(500, "internal", "KeyError: 'x'")
    error = failure(client.predict, b"pixels", "all")
    assert (error.kind, error.message) == ("failed", "The service had an error of its own.")
    assert error.request_id


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_in_front_of_nothing_counts_as_no_answer(api, client, status):
    api.says["GET /ready"] = Answer(b"<html>Bad Gateway</html>", status, content_type="text/html")
    assert failure(client.ready).kind == "down"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>Welcome</html>", content_type="text/html"),
        Answer(b"<html>Not here</html>", 404, content_type="text/html"),
        Answer({"predicted": "happy"}),
        Answer(b"", 302, {"Location": "http://elsewhere/"}),
        Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
        Answer(picture({**face(), "confidence": 1.5})),
    ],
    ids=["a page", "a page that is missing", "another version", "a redirect", "undecodable", "impossible values"],
)
def test_an_answer_of_another_form_is_told_apart(api, client, answer):
    api.says["POST /predict/"] = answer
    error = failure(client.predict, b"pixels", "all")
    assert error.kind == "foreign"
    assert "BACKEND" in error.fix


def test_a_batch_that_lacks_entries_is_not_believed(api, client):
    document = {"request_id": "b", "model_version": "m", "answered": 0, "failed": 0, "results": []}
    api.says["POST /predict/batch"] = Answer(document)
    assert failure(client.batch, [b"face"], "auto").kind == "foreign"


def test_more_than_is_known_does_no_harm(api, client):
    api.says["POST /predict/"] = Answer({**picture(face()), "something": "new"})
    assert client.predict(b"pixels", "all").predicted_emotion == "happy"
