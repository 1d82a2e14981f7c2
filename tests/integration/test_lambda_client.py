"""The example client asks the Lambda function, over HTTP, through a gateway of this test's own."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlopsproject.aws.function import Function
from mlopsproject.aws.settings import LambdaSettings
from mlopsproject.data.synthetic import sample_face

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "examples/aws/client.py"
#: What a gateway answers by itself.
GATEWAYS_OWN = {"/forbidden": (403, b'{"message":"Forbidden"}'), "/broken": (502, b"<html>")}


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The address of an HTTP API, as far as the client needs one: events of format 2.0."""
    function = Function(LambdaSettings(model_uri="production", model_store=str(ROOT / "models")))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path in GATEWAYS_OWN:
                status, said = GATEWAYS_OWN[self.path]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(said)
                return
            response = function.answer(
                {
                    "version": "2.0",
                    "rawPath": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "requestContext": {"http": {"method": "POST", "path": self.path}, "requestId": "r"},
                    "body": base64.b64encode(body).decode(),
                    "isBase64Encoded": True,
                }
            )
            self.send_response(response["statusCode"])
            for name, value in response["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response["body"].encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/predict"
        server.shutdown()


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", str(CLIENT), *words], capture_output=True, text=True, check=False)


def test_a_line_per_picture_and_1_if_one_fails(gateway: str, tmp_path: Path, encode) -> None:
    face, text = tmp_path / "face.jpg", tmp_path / "text.png"
    face.write_bytes(encode(sample_face("happy", 9, seed=0, size=128), "JPEG", quality=95))
    text.write_text("no picture")
    done = ask(gateway, str(face))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{face}: ")
    assert "%" in done.stdout
    done = ask(gateway, str(text), str(face))
    assert done.returncode == 1
    assert "text.png: The file is not a picture in one of the formats" in done.stderr
    assert done.stdout.startswith(f"{face}: ")


def test_what_only_a_gateway_says_and_what_is_not_there(gateway: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    for path, said in (("forbidden", "Forbidden"), ("broken", "status 502")):
        done = ask(gateway.replace("predict", path), str(tmp_path / "a.png"))
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{tmp_path}/a.png: {said}\n")
    done = ask(gateway, str(tmp_path / "nowhere.png"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_without_arguments_it_says_how() -> None:
    done = ask()
    assert done.returncode == 1
    assert "python client.py URL PICTURE" in done.stderr
