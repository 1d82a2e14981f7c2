"""AWS Lambda's Runtime API on this machine, for functions under their real runtime client, `awslambdaric`.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from mlopsproject.core.errors import UserError
from mlopsproject.load import HOST
from mlopsproject.load.processes import Server

_HANDLER: Final = "mlopsproject.aws.lambda_handler"
_PREFIX: Final = "/2018-06-01/runtime/"
_FUNCTION: Final = "arn:aws:lambda:eu-west-1:123456789012:function:faces"


@dataclass
class Invocation:
    """One event and what became of it.

    Attributes:
        event: anything that JSON can hold.
        timeout: seconds that the function is told it has.
        identifier: of the invocation, as the function's context has it.
        result: what the function returned; `None` as long as it has not.
        error: what the runtime reported in its place, such as an exception.
        taken: when the function took the event, by `time.perf_counter`.
        milliseconds: from then to its answer.
        done: set when there is a result or an error.
    """

    event: Any
    timeout: float
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: Any = None
    error: Any = None
    taken: float = 0.0
    milliseconds: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A function that is killed breaks its connection off."""


class RuntimeApi:
    """The service that a runtime client asks for events; a context manager.

    One function, one event at a time, as in an execution environment of Lambda.
    """

    def __init__(self) -> None:
        self._waiting: queue.Queue[Invocation] = queue.Queue()
        self._known: dict[str, Invocation] = {}
        self._failure: Any = None
        self._server = _HttpServer((HOST, 0), self._http_handler())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """Environment variables that lead a runtime client here."""
        return {
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._server.server_address[1]}",
            "AWS_LAMBDA_FUNCTION_NAME": "faces",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_REGION": "eu-west-1",
        }

    def invoke(self, event: Any, *, timeout: float = 30, patience: float = 60) -> Invocation:
        """Hand an event to the function and wait for its answer.

        Args:
            event: anything that JSON can hold.
            timeout: seconds that the function is told it has.
            patience: seconds to wait here.

        Raises:
            UserError: if the function does not start, or gives no answer.
        """
        invocation = Invocation(event, timeout)
        self._known[invocation.identifier] = invocation
        self._waiting.put(invocation)
        deadline = time.monotonic() + patience
        while not invocation.done.wait(0.05):
            if self._failure is not None:
                raise UserError(f"The function did not start: {self._failure['errorMessage']}")
            if time.monotonic() > deadline:
                raise UserError(f"The function gave no answer within {patience:g} s.")
        del self._known[invocation.identifier]
        return invocation

    def _take(self) -> Invocation:
        invocation = self._waiting.get()
        invocation.taken = time.perf_counter()
        return invocation

    def _finish(self, path: str, document: Any) -> None:
        if path == "init/error":
            self._failure = document
            return
        _, identifier, kind = path.split("/")
        invocation = self._known[identifier]
        invocation.milliseconds = 1000 * (time.perf_counter() - invocation.taken)
        setattr(invocation, "result" if kind == "response" else "error", document)
        invocation.done.set()

    def _http_handler(api) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without waiting for more to send: 40 ms of each answer.
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                invocation = api._take()
                body = json.dumps(invocation.event).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Lambda-Runtime-Aws-Request-Id", invocation.identifier)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(1000 * (time.time() + invocation.timeout))))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", _FUNCTION)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                api._finish(urlsplit(self.path).path.removeprefix(_PREFIX), json.loads(content or b"null"))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: tests and measurements say what matters."""

        return Handler


@contextmanager
def local_function(folder: Path, **settings: str) -> Iterator[tuple[RuntimeApi, Server]]:
    """The Lambda function in a process of its own, under `awslambdaric`.

    Args:
        folder: to run in; what it prints goes to `function.log` there.
        **settings: environment variables of the function.
    """
    command = [sys.executable, "-m", "awslambdaric", _HANDLER]
    with (
        RuntimeApi() as api,
        Server(command, 0, folder, folder / "function.log", api.environment() | settings) as process,
    ):
        yield api, process
