"""What never reaches the application: too large or slow heads, too many connections, requests for no host."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from mlopsproject.api import http_protocol
from mlopsproject.api.http_protocol import MAX_HEAD, LimitedProtocol

GET = b"GET / HTTP/1.1\r\nHost: test\r\n"


async def answer(scope, receive, send) -> None:
    """Say what was received, after a moment."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await asyncio.sleep(0.05)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def port() -> Iterator[int]:
    """A server with the limits, in a thread."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(answer, http=LimitedProtocol, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def read(connection: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def status(said: bytes) -> int:
    return int(said.split()[1])


def test_requests_are_answered_and_connections_kept(port):
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(GET + b"Content-Length: 2\r\n\r\nhi")
            time.sleep(0.1)
            assert connection.recv(1000).endswith(b"\r\n\r\nhi")


@pytest.mark.parametrize(
    "head", [b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n", GET + b"X: " + b"y" * 40_000, GET + b"X: y\r\n" * 8_000]
)
def test_a_head_that_is_too_large_is_refused(port, head):
    with connect(port) as connection:
        connection.sendall(head)
        said = read(connection)
    assert status(said) == 431
    assert b"more than 32,768 bytes" in said


def test_a_head_that_grows_without_end_is_cut_off(port):
    with connect(port) as connection, pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.sendall(GET + (b"X: " + b"y" * 1000 + b"\r\n") * 50_000)


def test_the_largest_head_and_any_body_are_let_in(port):
    with connect(port) as connection:
        head = GET + b"Connection: close\r\nContent-Length: 200000\r\n"
        head += b"X: " + b"y" * (MAX_HEAD - len(head) - 7) + b"\r\n\r\n"
        assert len(head) == MAX_HEAD
        connection.sendall(head)
        connection.sendall(b"z" * 200_000)
        assert read(connection).endswith(b"z" * 200_000)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET])
def test_a_head_that_does_not_arrive_is_given_up(port, sent, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    with connect(port) as connection:
        connection.sendall(sent)
        start = time.monotonic()
        assert status(read(connection)) == 408
        assert time.monotonic() - start < 2


def test_a_second_request_on_a_connection_has_its_own_time(port, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with connect(port) as connection:
        for _ in range(3):
            connection.sendall(GET + b"\r\n")
            assert status(connection.recv(1000)) == 200
            time.sleep(0.2)
        connection.sendall(GET)
        assert status(read(connection)) == 408


def test_a_body_that_takes_long_is_the_applications_matter(port, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)
    with connect(port) as connection:
        connection.sendall(GET + b"Connection: close\r\nContent-Length: 2\r\n\r\n")
        time.sleep(0.3)
        connection.sendall(b"hi")
        assert read(connection).endswith(b"hi")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n\r\n", GET + b"Host: other\r\n\r\n"])
def test_a_request_names_one_host(port, head):
    with connect(port) as connection:
        connection.sendall(head)
        assert status(read(connection)) == 400


def test_http_1_0_needs_no_host(port):
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert status(read(connection)) == 200


def test_a_caller_that_has_said_all_still_gets_its_answer(port):
    with connect(port) as connection:
        connection.sendall(GET + b"Content-Length: 2\r\n\r\nhi")
        connection.shutdown(socket.SHUT_WR)
        assert read(connection).endswith(b"\r\n\r\nhi")


def test_a_caller_that_goes_away_in_the_middle_leaves_nothing(port):
    with connect(port) as connection:
        connection.sendall(GET + b"Content-Length: 2\r\n\r\nh")
        connection.shutdown(socket.SHUT_WR)
        assert read(connection) == b""


def test_beyond_the_most_connections_callers_are_told_to_come_again(port, monkeypatch):
    monkeypatch.setattr(http_protocol, "MAX_CONNECTIONS", 5)
    idle = [connect(port) for _ in range(5)]
    time.sleep(0.1)
    with connect(port) as connection:
        said = read(connection)
    assert status(said) == 503
    assert b"retry-after: 1" in said
    for one in idle:
        one.close()
    time.sleep(0.1)
    with connect(port) as connection:
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        assert status(read(connection)) == 200


def test_a_thousand_half_sent_requests_hold_up_nobody(port):
    http_protocol.allow_connections()
    half = [connect(port) for _ in range(1000)]
    for one in half:
        one.sendall(GET)
    start = time.monotonic()
    with connect(port) as connection:
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        assert status(read(connection)) == 200
    assert time.monotonic() - start < 2
    for one in half:
        one.close()
