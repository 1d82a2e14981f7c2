"""What a dry run shows is what Google's own clients send: they talk to a server of this machine here."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from deploy.gcp import deploy, requests
from deploy.gcp.messages import parse
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from tests.unit.deploy.cloud_files import FILES

PLACE = ["--project=acme", "--region=europe-west1", "--tag=abc1234", "--set=DATA=mine"]
RUN = "type.googleapis.com/google.cloud.run.v2"
API_URL = "https://mlopsproject-api-1234.europe-west1.run.app"


class Google:
    """A server in Google's place, which writes down what it is asked.

    Attributes:
        asked: method and address of each request.
        bodies: what came with them.
        missing: whether nothing is there yet, so that it has to be created.
        answers: by the end of a path: status and JSON.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.missing = False
        self.answers: dict[str, tuple[int, Any]] = {}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        self.bodies.append(body)
        plain = path.partition("?")[0]
        for end, found in self.answers.items():
            if plain.endswith(end):
                return found
        if method == "PATCH" and self.missing and "allowMissing=true" not in path:
            return 404, {"error": {"code": 404, "message": "not there", "status": "NOT_FOUND"}}
        if method == "GET":
            return 200, {"name": plain.removeprefix("/v2/"), "uri": API_URL}
        if plain.startswith("/v2/") or plain.endswith("/repositories"):
            kind = "Execution" if plain.endswith(":run") else "Service" if "/services/" in plain else "Job"
            done = {"@type": f"{RUN}.{kind}", **({"taskCount": 1, "succeededCount": 1} if kind == "Execution" else {})}
            if plain.endswith("/repositories"):
                done = {"@type": "type.googleapis.com/google.devtools.artifactregistry.v1.Repository"}
            return 200, {"name": "operations/1", "done": True, "response": done}
        return 200, {}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    played = Google()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size) or b"null")
            status, answer = played.answer(self.command, unquote(self.path), body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _handle  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def client(kind: Any, **_: Any) -> Any:
        transport = kind.get_transport_class("rest")
        host = f"127.0.0.1:{server.server_address[1]}"
        return kind(transport=transport(host=host, url_scheme="http", credentials=AnonymousCredentials()))

    monkeypatch.setattr(requests, "client", client)
    monkeypatch.delenv("API_URL", raising=False)
    yield played
    server.shutdown()
    server.server_close()


def shown(capsys: pytest.CaptureFixture[str], only: str) -> tuple[list[str], list[Any]]:
    """Method and path, and body, of each request that a dry run shows."""
    assert deploy.main([*PLACE, f"--only={only}", "--dry-run"]) == 0
    text = capsys.readouterr().out
    lines = re.findall(r"^(?:\w+ is `uri` of: )?((?:GET|POST|PATCH) \S+)", text, re.MULTILINE)
    bodies = re.findall(r"^(?:  .*\n)+", text, re.MULTILINE)
    return [re.sub(r"https://[^/]+", "", line) for line in lines], [yaml.safe_load(body) for body in bodies]


def without_system_parameters(asked: list[str]) -> list[str]:
    return [re.sub(r"[?&]\$alt=[^&]*", "", line) for line in asked]


def messages(*files: str, bodies: list[Any]) -> list[Any]:
    """Bodies as messages: the clients send the name in the address, and numbers for the words of enumerations."""
    nameless = [{key: value for key, value in body.items() if key != "name"} for body in bodies]
    return [parse(body, FILES[file], file) for file, body in zip(files, nameless, strict=True)]


def test_services_and_jobs_are_sent_as_shown(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    lines, bodies = shown(capsys, "log-migrate,api,drift")
    assert google.asked == []
    assert deploy.main([*PLACE, "--only=log-migrate,api,drift"]) == 0
    assert without_system_parameters(google.asked) == lines
    sent = [body for line, body in zip(google.asked, google.bodies, strict=True) if not line.startswith("POST")]
    files = ("run/log-migrate.yaml", "run/api.yaml", "run/drift.yaml")
    assert messages(*files, bodies=sent) == messages(*files, bodies=bodies)


def test_the_frontend_is_told_where_the_api_is(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = shown(capsys, "frontend")
    assert deploy.main([*PLACE, "--only=frontend"]) == 0
    assert without_system_parameters(google.asked) == lines
    (container,) = google.bodies[-1]["template"]["containers"]
    assert {"name": "BACKEND", "value": API_URL} in container["env"]


@pytest.mark.parametrize("only", ["registry", "schedule"])
def test_what_is_there_is_changed_and_what_is_not_is_created(
    google: Google, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, only: str
) -> None:
    monkeypatch.setattr(deploy, "_run", lambda *_: None)
    monkeypatch.setattr(deploy, "_check_programs", lambda _: None)
    (change, creation), (body,) = shown(capsys, only)
    assert deploy.main([*PLACE, f"--only={only}"]) == 0
    assert without_system_parameters(google.asked) == [change]
    google.asked.clear()
    google.missing = True
    assert deploy.main([*PLACE, f"--only={only}"]) == 0
    assert without_system_parameters(google.asked) == [change, creation]
    files = [f"{only}.yaml"] * 3
    assert messages(*files, bodies=google.bodies) == messages(*files, bodies=[body] * 3)


def test_a_training_is_sent_as_shown(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    lines, bodies = shown(capsys, "train-nodes")
    assert deploy.main([*PLACE, "--only=train-nodes"]) == 0
    assert without_system_parameters(google.asked) == lines
    file = "vertex/train-nodes.yaml"
    assert messages(file, bodies=google.bodies) == messages(file, bodies=bodies)


def test_a_refusal_ends_the_run(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = {
        "error": {"code": 403, "message": "Permission 'run.services.update' denied", "status": "PERMISSION_DENIED"}
    }
    google.answers["/services/mlopsproject-api"] = (403, refusal)
    assert deploy.main([*PLACE, "--only=api,drift"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: The step api failed: 403 ")
    assert "run.services.update" in err
    assert "Done" not in out
    assert len(google.asked) == 1


def test_a_revision_that_does_not_get_ready_ends_the_run(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    failure = {"code": 9, "message": "Revision mlopsproject-api-00002 is not ready"}
    google.answers["/services/mlopsproject-api"] = (200, {"name": "operations/1", "done": True, "error": failure})
    assert deploy.main([*PLACE, "--only=api,drift"]) == 1
    assert "The step api failed: " in (said := capsys.readouterr().err)
    assert "is not ready" in said
    assert len(google.asked) == 1


def test_a_migration_that_fails_ends_the_run(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    execution = {"@type": f"{RUN}.Execution", "taskCount": 1, "failedCount": 1, "logUri": "https://log.example.org"}
    google.answers[":run"] = (200, {"name": "operations/1", "done": True, "response": execution})
    assert deploy.main([*PLACE, "--only=log-migrate,api"]) == 1
    err = capsys.readouterr().err
    assert "mlopsproject-log-migrate failed. Its log: https://log.example.org" in err
    assert not [line for line in google.asked if "/services/" in line]


def test_without_a_sign_in_the_run_says_how_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.setattr(requests, "client", refuse)
    assert deploy.main([*PLACE, "--only=api"]) == 1
    assert capsys.readouterr().err == (
        "error: The step api failed: Your default credentials were not found. "
        "Sign in with: gcloud auth application-default login\n"
    )
