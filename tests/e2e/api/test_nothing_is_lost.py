"""Every id that a client received is in the log, once: through a killed worker, and through an outage of PostgreSQL."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.integration.postgres import PostgresServer

from mlopsproject.load.logged import compare
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CALLERS = 8


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def ask_often(server, face: bytes, more: Callable[[int], bool]) -> tuple[list[str], int]:
    """Ask for one picture after the other as long as `more` of the count so far; ids of the answers, and failures."""
    answered: list[str] = []
    failed = 0
    lock = threading.Lock()

    def call(_: int) -> None:
        nonlocal failed
        client = server.again()
        while True:
            with lock:
                if not more(len(answered)):
                    break
            try:
                answer = client.post("/predict/", files={"data": face})
            except httpx.TransportError:
                # Its worker was killed: a request without an answer, which nobody was promised anything for.
                client.close()
                client = server.again()
                with lock:
                    failed += 1
                time.sleep(0.05)
                continue
            assert answer.status_code == 200, answer.text
            with lock:
                answered.append(answer.json()["faces"][0]["prediction_id"])
        client.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLERS)))
    return answered, failed


def test_ten_thousand_requests_with_a_worker_killed_in_the_middle(start_server, tmp_path, face):
    server = start_server(workers=2)
    victim = server.workers()[0]
    killed: list[int] = []

    def more(count: int) -> bool:
        if count >= 5_000 and not killed:
            os.kill(victim, signal.SIGKILL)
            killed.append(count)
        return count < 10_000

    answered, failed = ask_often(server, face, more)
    assert killed
    assert len(answered) >= 10_000
    # What was in the victim's hands is lost to its callers, no more.
    assert failed <= 20 * CALLERS
    assert server.stop() == 0
    comparison = compare(answered, LogSettings(data_dir=tmp_path / "data"), seconds=30)
    assert comparison.answered == len(answered)
    assert comparison.is_equal, comparison


def test_postgresql_stopped_for_twenty_seconds_under_load(start_server, tmp_path, face, postgres):
    url = postgres.create_database()
    settings = LogSettings(data_dir=tmp_path / "data", database_url=url)
    migrate(settings)
    server = start_server(workers=2, database_url=url)
    outage = threading.Timer(3, postgres.stop)
    repair = threading.Timer(23, postgres.start)
    seen: set[str] = set()

    def look() -> None:
        while time.monotonic() < end:
            seen.add(server.again().get("/ready").json()["status"])
            time.sleep(1)

    end = time.monotonic() + 30
    watcher = threading.Thread(target=look)
    for thread in (outage, repair, watcher):
        thread.start()
    answered, failed = ask_often(server, face, lambda _: time.monotonic() < end)
    for thread in (outage, repair, watcher):
        thread.join()
    assert failed == 0
    assert len(answered) > 1_000
    assert seen == {"ok", "degraded"}
    comparison = compare(answered, settings, seconds=60)
    assert comparison.answered == len(answered)
    assert comparison.is_equal, comparison
    assert server.stop() == 0
