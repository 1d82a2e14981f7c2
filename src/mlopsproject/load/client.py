"""A client that is much faster than what it measures: keep-alive connections, requests built once, no HTTP library.

`driving.drive` runs it in a process of its own, on a core of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from mlopsproject.load import HOST
from mlopsproject.load.usage import cpu_seconds

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LABEL: Final = re.compile(rb'"predicted_emotion": ?"\w+"')
_CHUNK: Final = 65536
#: Seconds after which a server that does not answer is given up.
TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a client saw of a server within the time that counts.

    Attributes:
        requests: that were answered.
        seconds: that were measured.
        per_second: requests.
        p50_ms: half of the requests took no longer; likewise the other.
        cpu_ms: CPU time of the server's processes per request.
        wrong: answers that were no 200 with a label, by what they were.
    """

    requests: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    wrong: dict[str, int]


def save_requests(requests: Sequence[bytes], path: Path) -> None:
    """Write requests for `drive`."""
    sizes = json.dumps([len(request) for request in requests]).encode()
    path.write_bytes(sizes + b"\n" + b"".join(requests))


def load_requests(path: Path) -> list[bytes]:
    """Read what `save_requests` wrote."""
    sizes, _, content = path.read_bytes().partition(b"\n")
    found, start = [], 0
    for size in json.loads(sizes):
        found.append(content[start : start + size])
        start += size
    return found


def main() -> None:
    """Send requests as the first argument says, and print what was measured as JSON."""
    options: dict[str, Any] = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {options["core"]})
    client = _Client(load_requests(Path(options["requests"])), options["port"], options["connections"])
    run = _Run(client, options["pid"], options["seconds"], options["warmup"])
    measured = run.closed() if options["rate"] is None else run.paced(options["rate"])
    sys.stdout.write(json.dumps(asdict(measured)) + "\n")


class _Connection:
    """One keep-alive connection."""

    __slots__ = ("_buffer", "socket", "started")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.started = 0.0

    def receive(self) -> str | None:
        """Take what has arrived.

        Returns:
            `None` if the answer is not whole yet, an empty text if it is right, else what is wrong with it.
        """
        part = self.socket.recv(_CHUNK)
        if not part:
            raise ConnectionError("the server closed a connection")
        self._buffer += part
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionError("an answer has no Content-Length")
        if len(body) < int(length[1]):
            return None
        self._buffer = b""
        status = head[9:12]
        if status != b"200":
            return f"{status.decode()} {body[:200].decode(errors='replace')}"
        return "" if _LABEL.search(body) else f"no label in {body[:200].decode(errors='replace')}"


class _Client:
    """All connections, and the requests in turn."""

    def __init__(self, requests: Sequence[bytes], port: int, connections: int) -> None:
        self._requests = requests
        self._next = 0
        self.poller = select.epoll()
        self.connections: dict[int, _Connection] = {}
        for _ in range(connections):
            connection = _Connection(port)
            self.connections[connection.socket.fileno()] = connection
            self.poller.register(connection.socket, select.EPOLLIN)

    def send(self, connection: _Connection, started: float) -> None:
        connection.started = started
        connection.socket.sendall(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)

    def answered(self, until: float | None = None) -> list[tuple[_Connection, str]]:
        """Wait until something arrives: the connections whose answer is whole now, and what is wrong with it.

        Args:
            until: time after which it waits no longer.

        Raises:
            TimeoutError: without `until`, if nothing arrives.
        """
        if until is not None:
            # The poller itself would sleep whole milliseconds. Spinning would be exact, but then everything else that
            # this machine has to do would take its time from the server.
            select.select([self.poller], [], [], max(0.0, until - time.perf_counter()))
        events = self.poller.poll(TIMEOUT if until is None else 0)
        if until is None and not events:
            raise TimeoutError(f"no answer within {TIMEOUT:g} s")
        found = []
        for descriptor, _ in events:
            connection = self.connections[descriptor]
            verdict = connection.receive()
            if verdict is not None:
                found.append((connection, verdict))
        return found


class _Run:
    """One measurement: warm-up, then the time that counts."""

    def __init__(self, client: _Client, pid: int, seconds: float, warmup: float) -> None:
        self._client = client
        self._pid = pid
        self._seconds = seconds
        self._begin = time.perf_counter() + warmup
        self._counting = False
        self._cpu = 0.0
        self._times: list[float] = []
        self._wrong: Counter[str] = Counter()

    def closed(self) -> Measured:
        """Each connection sends its next request when it has the answer to the last one."""
        client = self._client
        for connection in client.connections.values():
            client.send(connection, time.perf_counter())
        while True:
            answered = client.answered()
            now = time.perf_counter()
            for connection, verdict in answered:
                self._note(now, connection.started, verdict)
                client.send(connection, now)
            if self._is_over(now):
                return self._measured(now)

    def paced(self, rate: float) -> Measured:
        """Requests start at their time; one that finds no free connection waits, and its wait counts."""
        client = self._client
        free = deque(client.connections.values())
        due = full_until = time.perf_counter()
        while True:
            now = time.perf_counter()
            while free and now >= due:
                # The client being late is not the server's doing; having had no connection left is.
                client.send(free.popleft(), due if due < full_until else now)
                due += 1 / rate
            for connection, verdict in client.answered(until=due if free else None):
                now = time.perf_counter()
                self._note(now, connection.started, verdict)
                full_until = full_until if free else now
                free.append(connection)
            if self._is_over(now):
                break
        # What has not come yet is the slowest of all.
        while len(free) < len(client.connections):
            for connection, verdict in client.answered():
                self._note(time.perf_counter(), connection.started, verdict)
                free.append(connection)
        return self._measured(time.perf_counter())

    def _note(self, now: float, started: float, verdict: str) -> None:
        if verdict:
            self._wrong[verdict] += 1
        if self._counting:
            self._times.append(now - started)

    def _is_over(self, now: float) -> bool:
        if not self._counting and now >= self._begin:
            self._counting = True
            self._cpu = cpu_seconds(self._pid)
            self._begin = time.perf_counter()
        return self._counting and now >= self._begin + self._seconds

    def _measured(self, now: float) -> Measured:
        seconds = now - self._begin
        cpu = cpu_seconds(self._pid) - self._cpu
        times = sorted(self._times)
        count = max(1, len(times))
        return Measured(
            requests=len(times),
            seconds=seconds,
            per_second=len(times) / seconds,
            p50_ms=1000 * _percentile(times, 0.5),
            p99_ms=1000 * _percentile(times, 0.99),
            cpu_ms=1000 * cpu / count,
            wrong=dict(self._wrong.most_common(5)),
        )


def _percentile(times: Sequence[float], share: float) -> float:
    return times[math.ceil(share * len(times)) - 1] if times else 0.0
