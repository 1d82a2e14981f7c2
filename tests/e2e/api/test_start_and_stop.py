"""The server as a process: how it starts, why it does not, and how it stops."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
UVICORN = ["uvicorn", "mlopsproject.api:app", "--port", "PORT"]

pytestmark = pytest.mark.slow


def test_with_no_settings_at_all_the_shipped_model_answers(tmp_path, start_server, face):
    (tmp_path / "models").symlink_to(ROOT / "models")
    server = start_server(model_store="models", model_reload_seconds=10)
    answer = server.predict(face)
    assert answer.status_code == 200
    production = (ROOT / "models/aliases/production").read_text(encoding="utf-8").strip()
    assert answer.json()["model_version"] == production
    assert server.client.get("/ready").json()["status"] == "ok"
    assert server.stop() == 0
    assert server.logged_ids() == [answer.json()["faces"][0]["prediction_id"]]
    assert "Traceback" not in server.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_it_in_order(start_server, face, number, workers):
    server = start_server(workers=workers)
    assert server.predict(face).status_code == 200
    assert server.stop(number) == 0
    assert "Traceback" not in server.log


def test_uvicorn_serves_it_as_well(start_server, tmp_path, face):
    server = start_server(UVICORN)
    response = server.predict(face)
    assert response.status_code == 200
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    (line,) = [line for line in lines if line.get("path") == "/predict/"]
    assert line["request_id"] == response.headers["x-request-id"]
    assert not any(line["logger"] == "uvicorn.access" for line in lines)


def test_the_file_env_holds_for_both_ways_to_start(start_server, tmp_path):
    (tmp_path / ".env").write_text("API_KEY=kX7pQ2mN9vR4tY6wZ8aB\nMODEL_PRECISION=int8\n", encoding="utf-8")
    for command in (None, UVICORN):
        server = start_server(command)
        assert server.client.get("/model").status_code == 401
        response = server.client.get("/model", headers={"X-API-Key": "kX7pQ2mN9vR4tY6wZ8aB"})
        assert response.json()["precision"] == "int8"


@pytest.mark.parametrize("command", [None, UVICORN], ids=["module", "uvicorn"])
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model_uri": "nothing-like-it"}, "has no bundle or alias 'nothing-like-it'"),
        ({"model_store": "/nowhere"}, "/nowhere"),
        ({"model_precision": "int4"}, "MODEL_PRECISION is not possible: Input should be 'fp32' or 'int8'."),
        ({"api_key": "changeme"}, "API_KEY is not possible: a placeholder"),
        ({"face_model": "/nowhere.onnx"}, "The face model /nowhere.onnx does not exist."),
        ({"database_url": "mysql://x/y"}, "DATABASE_URL is not possible"),
        ({"log_batch_rows": "-1"}, "LOG_BATCH_ROWS is not possible"),
    ],
)
def test_a_start_that_cannot_succeed_says_why_in_one_line(start_server, command, settings, says):
    server = start_server(command, wait=False, log_format="text", **settings)
    code = server.process.wait(60)
    assert code == (1 if command is None else 3)
    assert server.log.count(says) == 1, server.log
    assert "Traceback" not in server.log
    assert len([line for line in server.log.splitlines() if "error:" in line]) == 1


def test_a_start_that_no_worker_survives_is_given_up(start_server):
    server = start_server(wait=False, workers=2, face_model="/nowhere.onnx")
    assert server.process.wait(60) == 1
    assert "The face model /nowhere.onnx does not exist." in server.log
    assert "Traceback" not in server.log


@pytest.mark.parametrize("workers", [1, 2])
def test_a_taken_port_is_named(start_server, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_server(wait=False, port=port, workers=workers)
        assert server.process.wait(60) == 1
    assert server.log.splitlines()[-1] == (
        f"error: Cannot listen at 127.0.0.1:{port} (Address already in use). Set PORT or HOST."
    )


def test_an_address_of_another_machine_is_named(start_server):
    for host in ("192.0.2.1", "no-such-host.invalid"):
        server = start_server(wait=False, host=host)
        assert server.process.wait(60) == 1
        assert f"error: Cannot listen at {host}:" in server.log
        assert "Traceback" not in server.log


def test_a_damaged_bundle_is_named(start_server, make_bundle, tmp_path):
    bundle = make_bundle(tmp_path / "damaged", seed=9)
    (bundle.path / "model.onnx").write_bytes(b"broken")
    server = start_server(wait=False, model_uri=bundle.path)
    assert server.process.wait(60) == 1
    assert "model.onnx is not the file that was sealed" in server.log
    assert "Traceback" not in server.log


def test_requests_in_work_are_answered_and_logged_before_the_end(start_server, tmp_path, face):
    server = start_server()
    arrived, go_on = threading.Event(), threading.Event()

    def slowly():
        yield b"--x\r\nContent-Disposition: form-data; name=data; filename=a\r\n\r\n" + face[:500]
        arrived.set()
        go_on.wait(20)
        yield face[500:] + b"\r\n--x--\r\n"

    def ask():
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return httpx.post(f"http://127.0.0.1:{server.port}/predict/", content=slowly(), headers=headers, timeout=30)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        assert arrived.wait(20)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.port}/health")
        go_on.set()
        assert answer.result().status_code == 200
    assert server.process.wait(60) == 0
    assert server.logged_ids() == [answer.result().json()["faces"][0]["prediction_id"]]


BUSY = """
import time
from mlopsproject.api.__main__ import leave, main
from mlopsproject.api.routes import explain
def stuck(*args):
    open("stuck", "w").close()
    time.sleep(120)
explain.occlusion_map = stuck
if __name__ == "__main__":
    leave(main())
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thread_that_takes_for_ever_holds_up_neither_the_log_nor_the_end(start_server, tmp_path, face, workers):
    (tmp_path / "busy_server.py").write_text(BUSY, encoding="utf-8")
    server = start_server(["busy_server"], shutdown_timeout_seconds=1, workers=workers)
    kept = server.predict(face).json()["faces"][0]["prediction_id"]
    with ThreadPoolExecutor(1) as pool:
        address = f"http://127.0.0.1:{server.port}/explain"
        answer = pool.submit(httpx.post, address, files={"data": face}, timeout=60)
        deadline = time.monotonic() + 20
        while not (tmp_path / "stuck").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert time.monotonic() - start < 10
        answer.exception(60)
    assert server.logged_ids() == [kept]
