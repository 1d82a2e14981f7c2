"""Who is let in: API key, rate limit, back-pressure, time limits, other origins; and every request's id."""

from __future__ import annotations

import asyncio
import re
import threading
import time

import httpx
import pytest

from mlopsproject.core.face_inputs import FaceOptions, read_faces

#: How the form of a file begins.
FILE = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a"\r\n\r\n'
KEY = "kX7pQ2mN9vR4tY6wZ8aB"
REPORT = "2026-01-31T23-30-00-000000Z-0123456789ab"


def slow_faces(release):
    """In place of `Service.read_faces`: waits until it is released, and finds nothing."""

    async def read(content, options, spec):
        await asyncio.to_thread(release.wait, 20)
        return read_faces(content, FaceOptions("none"), spec)

    return read


@pytest.mark.parametrize("given", ["my-request.1:2/3", "A" * 128, "0"])
def test_a_sane_request_id_is_taken_over(client, given):
    assert client.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "A" * 129, "a b", "a\tb", "ä".encode(), "a;b", '"', "a,b"])
def test_any_other_request_id_is_replaced(client, given):
    answered = client.get("/nothing", headers={"X-Request-ID": given})
    identifier = answered.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", identifier)
    assert answered.json()["request_id"] == identifier


def test_with_a_key_only_its_owner_is_answered(serve, face):
    client = serve(api_key=KEY)
    files = {"data": face}
    assert client.post("/predict/", files=files, headers={"X-API-Key": KEY}).status_code == 200
    for headers in (
        {},
        {"X-API-Key": ""},
        {"X-API-Key": KEY[:-1]},
        {"X-API-Key": KEY.lower()},
        {"X-API-Key": "ä".encode()},
    ):
        response = client.post("/predict/", files=files, headers=headers)
        assert (response.status_code, response.json()["type"]) == (401, "wrong_key")
        assert response.headers["www-authenticate"] == "ApiKey"
        assert KEY not in response.text
    for path in ("/model", "/stats", "/drift", "/drift/history", f"/drift/{REPORT}/report", "/nothing"):
        assert client.get(path).status_code == 401
    for path in ("/", "/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_open_addresses_are_open_under_a_proxys_path_too(serve):
    client = serve(api_key=KEY, root_path="/faces")
    assert client.get("/faces/health").status_code == client.get("/health").status_code == 200
    assert client.get("/faces/model").status_code == 401
    for path in ("/faces/static/swagger-ui.css", "/static/swagger-ui.css"):
        assert client.get(path).status_code == 200
    assert client.get("/facesmodel").status_code == 401


def test_a_caller_beyond_the_rate_is_told_when_to_come_back(serve, face):
    client = serve(rate_limit="3/minute")
    answers = [client.post("/predict/", files={"data": face}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["type"] == "too_many"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert client.get("/health").status_code == 200


def test_pages_of_other_origins_may_call_if_they_are_named(serve, face):
    client = serve(cors_origins="https://faces.example, http://localhost:3000", api_key=KEY)
    asked = {"Origin": "https://faces.example", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "X-API-Key"
    preflight = client.options("/predict/", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://faces.example"
    refused = client.post("/predict/", files={"data": face}, headers={"Origin": "http://localhost:3000"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "X-Request-ID" in refused.headers["access-control-expose-headers"]
    other = client.get("/health", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers


def test_by_default_no_other_origin_may_call(client):
    assert "access-control-allow-origin" not in client.get("/health", headers={"Origin": "https://x.example"}).headers


def test_beyond_the_queue_requests_are_refused_at_once(serve, face):
    client = serve(max_waiting=2)
    service = client.app.state.service
    release = threading.Event()
    service.read_faces = slow_faces(release)
    results = []

    def ask():
        results.append(client.post("/predict/", files={"data": face}, data={"face": "all"}))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    while service.in_progress < 2:
        time.sleep(0.01)
    start = time.monotonic()
    refused = client.post("/predict/", files={"data": face})
    assert time.monotonic() - start < 2
    assert (refused.status_code, refused.json()["type"]) == (503, "busy")
    assert refused.headers["retry-after"] == "1"
    assert client.get("/health").status_code == client.get("/ready").status_code == 200
    assert "mlopsproject_requests_in_progress 2.0" in client.get("/metrics").text
    release.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in results] == [200, 200]
    assert service.in_progress == 0
    assert client.post("/predict/", files={"data": face}).status_code == 200


def test_work_that_takes_too_long_is_given_up(serve, face):
    client = serve(request_timeout_seconds=0.2)
    release = threading.Event()
    client.app.state.service.read_faces = slow_faces(release)
    response = client.post("/predict/", files={"data": face}, data={"face": "all"})
    release.set()
    assert (response.status_code, response.json()["type"]) == (503, "timeout")
    assert response.json()["detail"] == "The request took longer than 0.2 s."
    assert client.app.state.service.in_progress == 0


def test_a_request_that_does_not_arrive_is_given_up(serve):
    app = serve(request_timeout_seconds=0.2).app

    async def slow():
        yield b"--x\r\n"
        await asyncio.sleep(20)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            return await client.post("/predict/", content=slow(), headers=headers)

    response = asyncio.run(ask())
    assert (response.status_code, response.json()["type"]) == (408, "too_slow")
    assert response.headers["connection"] == "close"


def test_a_bug_is_a_problem_too_and_tells_nothing(serve, face, caplog):
    client = serve()

    async def broken(*args):
        raise RuntimeError("secret")

    client.app.state.service.read_faces = broken
    response = client.post("/predict/", files={"data": face}, data={"face": "all"})
    assert (response.status_code, response.json()["type"]) == (500, "internal")
    assert "secret" not in response.text
    assert "RuntimeError: secret" in caplog.text


def test_answers_that_cannot_be_kept_are_refused(serve, face, tmp_path):
    client = serve()
    (tmp_path / "serving").rename(tmp_path / "gone")
    (tmp_path / "serving").write_text("a file in the way", encoding="utf-8")
    statuses = {client.post("/predict/", files={"data": face}).status_code for _ in range(3)}
    response = client.post("/predict/", files={"data": face})
    assert (response.status_code, response.json()["type"]) == (503, "log_unavailable"), statuses
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_locks_nobody_out(serve, monkeypatch, hours):
    client = serve(rate_limit="2/minute")
    statuses = [client.get("/model").status_code for _ in range(3)]
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + hours * 3600)
    responses = [client.get("/model") for _ in range(3)]
    assert statuses == [response.status_code for response in responses] == [200, 200, 429]
    assert int(responses[-1].headers["retry-after"]) <= 60


def test_keys_cannot_be_tried_beyond_the_rate(serve):
    client = serve(rate_limit="3/minute", api_key=KEY)
    statuses = [client.get("/model", headers={"X-API-Key": f"{KEY[:-1]}{n}"}).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def ask_slowly(app, parts, path="/predict/", content_type="multipart/form-data; boundary=x"):
    """A request whose body comes in parts; each is sent when the one before it has been taken."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test").post(
        path, content=parts, headers={"Content-Type": content_type}
    )


async def held_back(gate, first=b"--x\r\n"):
    yield first
    await gate.wait()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


def test_callers_that_send_nothing_take_no_place_of_others(serve, face):
    app = serve(max_waiting=2, log_durability="off").app
    service = app.state.service

    async def scene():
        gate = asyncio.Event()
        idle = [asyncio.create_task(ask_slowly(app, held_back(gate))) for _ in range(16)]
        await until(lambda: service.held_bytes == 16 * len(b"--x\r\n"))
        assert service.in_progress == 0
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answered = await client.post("/predict/", files={"data": face})
        gate.set()
        await asyncio.gather(*idle)
        return answered

    assert asyncio.run(scene()).status_code == 200
    assert service.in_progress == service.held_bytes == 0


@pytest.mark.parametrize(
    ("path", "content_type"), [("/predict/", "multipart/form-data; boundary=x"), ("/feedback", "application/json")]
)
def test_a_place_that_is_taken_while_the_body_arrives_is_not_given_twice(serve, path, content_type):
    app = serve(max_waiting=1).app
    service = app.state.service

    async def scene():
        gate = asyncio.Event()
        waiting = asyncio.create_task(ask_slowly(app, held_back(gate), path, content_type))
        await until(lambda: service.held_bytes > 0)
        service.in_progress += 1
        gate.set()
        response = await waiting
        service.in_progress -= 1
        return response

    response = asyncio.run(scene())
    assert (response.status_code, response.json()["type"]) == (503, "busy")
    assert service.in_progress == service.held_bytes == 0


def test_bodies_of_all_requests_together_are_limited(serve, face):
    app = serve(max_body_mb=1, max_waiting_mb=2).app
    service = app.state.service

    async def scene():
        gate = asyncio.Event()
        large = [
            asyncio.create_task(ask_slowly(app, held_back(gate, FILE + bytes(900_000 - len(FILE))))) for _ in range(2)
        ]
        await until(lambda: service.held_bytes == 1_800_000)
        refused = await ask_slowly(app, held_back(gate, FILE + bytes(900_000 - len(FILE))))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answered = await client.post("/predict/", files={"data": face})
        gate.set()
        await asyncio.gather(*large)
        return refused, answered

    refused, answered = asyncio.run(scene())
    assert (refused.status_code, refused.json()["type"]) == (503, "busy")
    assert refused.json()["detail"] == "2 MB of requests are held already."
    assert answered.status_code in (200, 503)
    assert service.held_bytes == 0


def test_one_request_of_the_largest_size_always_fits(serve):
    assert serve(max_body_mb=5, max_waiting_mb=1).app.state.service.max_held_bytes == 5_000_000


def test_slow_questions_are_bounded_and_hold_up_no_answer(serve, face, monkeypatch):
    client = serve(log_drain_seconds=0.05)
    service, gate = client.app.state.service, threading.Event()
    monkeypatch.setattr(service.log, "stats", lambda *_: gate.wait(20))
    threads = [threading.Thread(target=client.get, args=("/stats",)) for _ in range(18)]
    for thread in threads:
        thread.start()
    while service.log_threads.waiting < 16:
        time.sleep(0.01)
    start = time.monotonic()
    refused = client.get("/stats")
    assert (refused.status_code, refused.json()["type"]) == (503, "busy")
    answer = client.post("/predict/", files={"data": face})
    assert answer.status_code == 200
    body = {"prediction_id": answer.json()["faces"][0]["prediction_id"], "label": "happy"}
    assert client.post("/feedback", json=body).status_code == 200
    assert client.get("/health").status_code == 200
    assert time.monotonic() - start < 5
    gate.set()
    for thread in threads:
        thread.join()
    assert service.log_threads.waiting == 0


def test_a_question_that_takes_too_long_is_given_up(serve, monkeypatch):
    client, gate = serve(request_timeout_seconds=0.2), threading.Event()
    monkeypatch.setattr(client.app.state.service.log, "stats", lambda *_: gate.wait(20))
    response = client.get("/stats")
    gate.set()
    assert (response.status_code, response.json()["type"]) == (503, "timeout")
