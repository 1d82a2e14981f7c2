"""The client of the serving benchmark: what it sends arrives, what it counts happened, and wrong answers are errors."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mlopsproject.core.errors import UserError
from mlopsproject.load.client import Measured, load_requests, save_requests
from mlopsproject.load.driving import drive
from mlopsproject.load.pictures import upload

RIGHT = b'{"predicted_emotion":"happy","confidence":0.5}'


def response(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class ScriptedServer:
    """Answers every request with the same bytes, in parts, after a while; one thread per connection."""

    def __init__(self, *parts: bytes, seconds: float = 0.0) -> None:
        self.parts = parts
        self.seconds = seconds
        self.received: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closed alone, a socket that `accept` waits for would take one more connection.
        with suppress(OSError):  # closed before
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # the client has what it wants
            while request := connection.recv(65536):
                self.received.append(request)
                time.sleep(self.seconds)
                for part in self.parts:
                    connection.sendall(part)
                    time.sleep(0.001 if len(self.parts) > 1 else 0)


@pytest.fixture
def measure(tmp_path: Path) -> Iterator[Callable[..., Measured]]:
    """``measure(server, rate=None, connections=4, seconds=0.3)`` sends small uploads from a process of its own."""
    servers = []

    def run(
        server: ScriptedServer, *, rate: float | None = None, connections: int = 4, seconds: float = 0.3
    ) -> Measured:
        servers.append(server)
        save_requests([upload(b"one", "/predict/"), upload(b"another", "/predict/")], tmp_path / "requests")
        return drive(
            tmp_path / "requests",
            server.port,
            os.getpid(),
            seconds=seconds,
            warmup=0.1,
            connections=connections,
            core=min(os.sched_getaffinity(0)),
            rate=rate,
        )

    yield run
    for server in servers:
        server.close()


def test_requests_are_kept_as_they_are(tmp_path: Path) -> None:
    requests = [b"POST\r\n\r\n\n", b"", bytes(range(256))]
    save_requests(requests, tmp_path / "requests")
    assert load_requests(tmp_path / "requests") == requests


def test_an_upload_is_a_whole_request() -> None:
    head, _, body = upload(b"content", "/predict/").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict/ HTTP/1.1\r\n")
    assert b"Content-Length: 7" in head.splitlines()
    assert body == b"content"


def test_answers_that_arrive_in_parts_are_counted_whole(measure: Callable[..., Measured]) -> None:
    whole = response(RIGHT)
    server = ScriptedServer(whole[:20], whole[20:60], whole[60:])
    found = measure(server)
    assert found.wrong == {}
    assert 0 < found.requests <= len(server.received)
    assert found.per_second == pytest.approx(found.requests / found.seconds)
    assert found.seconds == pytest.approx(0.3, abs=0.2)
    assert {request.partition(b"\r\n\r\n")[2] for request in server.received} == {b"one", b"another"}


def test_the_time_of_an_answer_is_measured(measure: Callable[..., Measured]) -> None:
    found = measure(ScriptedServer(response(RIGHT), seconds=0.05))
    assert 50 <= found.p50_ms <= found.p99_ms
    assert found.requests <= 4 * (0.3 / 0.05 + 2)


def test_a_paced_client_sends_as_often_as_it_is_told(measure: Callable[..., Measured]) -> None:
    found = measure(ScriptedServer(response(RIGHT)), rate=50, seconds=0.5)
    assert 15 <= found.requests <= 35


def test_the_wait_for_a_free_connection_counts_when_the_server_does_not_keep_up(
    measure: Callable[..., Measured],
) -> None:
    # It can answer 20 per second on one connection, and is asked for 100.
    found = measure(ScriptedServer(response(RIGHT), seconds=0.05), rate=100, connections=1, seconds=0.6)
    assert found.p99_ms > 200


def test_the_answers_that_come_last_count(measure: Callable[..., Measured]) -> None:
    # Every answer comes after the time that is measured.
    found = measure(ScriptedServer(response(RIGHT), seconds=1), rate=20, seconds=0.3)
    assert found.requests >= 3
    assert found.p50_ms > 900


def test_a_server_that_stops_answering_is_an_error(
    measure: Callable[..., Measured], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlopsproject.load.driving.TIMEOUT", 0.3)
    with pytest.raises(UserError, match=r"The client did not end within .* s: the server does not answer"):
        measure(ScriptedServer(response(RIGHT), seconds=60), rate=50)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response(b'{"type":"busy"}', "503 Service Unavailable"), "503 .*busy"),
        (response(b'{"label":"happy"}'), "no label in .*happy"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "no Content-Length"),
    ],
)
def test_wrong_answers_are_errors(measure: Callable[..., Measured], answer: bytes, said: str) -> None:
    with pytest.raises(UserError, match=said):
        measure(ScriptedServer(answer))


def test_a_server_that_nobody_has_started_is_an_error_of_one_line(measure: Callable[..., Measured]) -> None:
    server = ScriptedServer()
    server.close()
    with pytest.raises(UserError, match="Connection refused") as caught:
        measure(server)
    assert "\n" not in str(caught.value)
