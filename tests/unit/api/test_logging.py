"""The log: a line per request, as JSON or text, with its id and without anything of the caller's."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import types

import pytest

from mlopsproject.api import logs
from mlopsproject.api.routes import explain as explain_route
from mlopsproject.core.explain import occlusion_map


@pytest.fixture
def stream(monkeypatch):
    """What is logged; afterwards logging is as it was."""
    stream = io.StringIO()
    # Not sys.stderr: pytest sets that anew for every phase of a test.
    monkeypatch.setattr(logs, "sys", types.SimpleNamespace(stderr=stream))
    root = logging.getLogger()
    names = ("", "mlopsproject", "uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore")
    before = [(logger := logging.getLogger(name), logger.handlers[:], logger.level, logger.propagate) for name in names]
    knobs = {
        name: getattr(logging, name)
        for name in ("_srcfile", "logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks")
        if hasattr(logging, name)
    }
    # pytest's own handlers would be closed otherwise.
    root.handlers.clear()
    yield stream
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
    for name, value in knobs.items():
        setattr(logging, name, value)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_json_line(client, stream, face):
    logs.configure("INFO", "json")
    response = client.post("/predict/?token=hidden", files={"data": ("private.jpg", face)})
    (line,) = [line for line in lines(stream) if line["logger"] == "mlopsproject.api.access"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 < line.pop("ms") < 10_000
    assert line == {
        "level": "INFO",
        "logger": "mlopsproject.api.access",
        "message": "answered",
        "request_id": response.headers["x-request-id"],
        "method": "POST",
        "path": "/predict/",
        "status": 200,
        "model": response.json()["model_version"],
    }
    assert "hidden" not in stream.getvalue()
    assert "private" not in stream.getvalue()


def test_a_request_is_one_text_line(client, stream):
    logs.configure("INFO", "text")
    response = client.get("/health", headers={"X-Request-ID": "mine"})
    assert response.status_code == 200
    assert re.fullmatch(
        r"\S+Z INFO mlopsproject\.api\.access answered request_id=mine method=GET path=/health status=200 ms=[\d.]+\n",
        stream.getvalue(),
    )


@pytest.mark.parametrize("layout", ["json", "text"])
def test_an_address_cannot_pretend_to_be_another_line(client, stream, layout):
    logs.configure("INFO", layout)
    client.get("/a%0A2026-01-01%20ERROR%20forged\u2028%1b[31m")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_what_goes_wrong_in_a_request_carries_its_id(serve, stream, face):
    client = serve(log_durability="off")
    logs.configure("INFO", "json")

    async def broken(*args):
        return 1 / 0

    client.app.state.service.read_faces = broken
    client.post("/predict/", files={"data": face}, data={"face": "all"}, headers={"X-Request-ID": "mine"})
    failed, answered = lines(stream)
    assert (failed["request_id"], failed["level"]) == ("mine", "ERROR")
    assert "ZeroDivisionError" in failed["exception"]
    assert (answered["request_id"], answered["level"], answered["status"]) == ("mine", "WARNING", 500)


def test_threads_of_a_request_log_with_its_id_as_well(serve, stream, face, monkeypatch):
    client = serve(log_durability="off")
    logs.configure("INFO", "json")

    def explain(*args):
        logging.getLogger("mlopsproject.test").info("looking")
        return occlusion_map(*args)

    monkeypatch.setattr(explain_route, "occlusion_map", explain)
    client.post("/explain", files={"data": face}, headers={"X-Request-ID": "mine"})
    assert lines(stream)[0] | {"time": ""} == {
        "time": "",
        "level": "INFO",
        "logger": "mlopsproject.test",
        "message": "looking",
        "request_id": "mine",
    }


def test_outside_of_requests_there_is_no_id(stream):
    logs.configure("INFO", "json")
    logging.getLogger("mlopsproject.test").info("line\nbreak")
    assert "request_id" not in lines(stream)[0]
    logs.configure("INFO", "text")
    logging.getLogger("mlopsproject.test").info("line\nbreak")
    assert stream.getvalue().splitlines()[1].endswith(r"line\nbreak")


def test_the_level_holds_for_requests_and_libraries_only_warn(client, stream):
    logs.configure("WARNING", "json")
    client.get("/health")
    logging.getLogger("somebody").info("chatter")
    logging.getLogger("uvicorn.access").info("a line of its own")
    assert stream.getvalue() == ""
    logging.getLogger("somebody").warning("trouble")
    assert lines(stream)[0]["message"] == "trouble"


def test_uvicorn_speaks_through_the_same_handler(stream):
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(stream))
    logs.configure("INFO", "json")
    logging.getLogger("uvicorn.error").info("Started")
    assert [line["message"] for line in lines(stream)] == ["Started"]


def test_warnings_of_libraries_keep_the_format():
    code = "import warnings; from mlopsproject.api import logs; logs.configure('INFO', 'json'); warnings.warn('odd')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    line = json.loads(said)
    assert (line["level"], line["logger"]) == ("WARNING", "py.warnings")
    assert "odd" in line["message"]
