"""The system of compose.yaml: from a face in the browser to a row in PostgreSQL and a metric in Prometheus.

COMPOSE names another program than `docker compose`. With CONTAINER_STAND_INS=1 the images of registries are built from
Debian's packages, see stand_ins/. Grafana is left out: there is nothing to stand in for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from tests.e2e.browser import chromium, visit
from tests.e2e.containers.images import STAND_INS, TAG, Compose, stand_in, until
from tests.e2e.test_frontend_browser import give

from mlopsproject.data.synthetic import render_expression, sample_expression
from mlopsproject.data.synthetic.identity import sample_identity
from mlopsproject.data.synthetic.scene import STUDIO
from mlopsproject.load.containers import engine
from mlopsproject.load.processes import free_port

pytestmark = [pytest.mark.container, pytest.mark.timeout(1800)]

PROJECT = "mlopsproject-test"
COUNT = "select count(*) from predictions"


class Stack(Compose):
    """The services of compose.yaml."""

    def __init__(self) -> None:
        files = ("compose.yaml", "tests/e2e/containers/stand_ins/compose.yaml")
        ports = ("API", "FRONTEND", "PROMETHEUS")
        super().__init__(PROJECT, files, ports, DRIFT_SECONDS="5", POSTGRES_PASSWORD="not-the-default")

    def query(self, sql: str) -> str:
        done = engine(
            "exec", self.container("postgres"), "psql", "-U", "faces", "-h", "/var/run/postgresql", "-Atc", sql
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def stack(image: Callable[[str], str]) -> Iterator[Stack]:
    for name in ("api", "frontend", "drift"):
        image(name)
    if STAND_INS:
        stand_in("postgres")
        stand_in("prometheus")
    services = Stack()
    services("down", "--volumes", check=False)
    try:
        services.up("postgres")
        until(lambda: services.database_is_ready("faces"))
        services.finish("migrate")
        services.up("api", "frontend", "drift", "prometheus")
        until(lambda: httpx.get(f"{services.address('API')}/ready").status_code == 200)
        until(lambda: httpx.get(f"{services.address('FRONTEND')}/_stcore/health").status_code == 200)
        yield services
    finally:
        services("down", "--volumes", check=False)


@pytest.fixture
def smile(tmp_path: Path) -> Path:
    """A drawn face that smiles."""
    rng = np.random.default_rng(4)
    pixels = render_expression(sample_expression("happy", rng), sample_identity(rng), STUDIO, rng, 320)
    Image.fromarray(pixels).save(tmp_path / "smile.png")
    return tmp_path / "smile.png"


def test_a_face_goes_from_the_page_to_a_row_and_a_metric(stack: Stack, smile: Path, tmp_path: Path) -> None:
    before = int(stack.query(COUNT))
    with chromium() as browser, visit(browser, stack.address("FRONTEND"), tmp_path) as page:
        expect(page.get_by_text("Service ready")).to_be_visible()
        give(page, smile)
        expect(page.get_by_role("heading", name="happy", exact=True)).to_be_visible()
    until(lambda: int(stack.query(COUNT)) == before + 1)
    assert stack.query("select predicted from predictions order by created_at desc limit 1") == "happy"
    query = {"query": 'sum(mlopsproject_predictions_total{predicted="happy"})'}

    def metric() -> list[object]:
        answer = httpx.get(f"{stack.address('PROMETHEUS')}/api/v1/query", params=query).json()
        return [result["value"][1] for result in answer["data"]["result"]]

    until(lambda: metric() and float(str(metric()[0])) >= 1, seconds=90, what=metric)


def test_alerts_are_loaded(stack: Stack) -> None:
    rules = httpx.get(f"{stack.address('PROMETHEUS')}/api/v1/rules").json()["data"]["groups"]
    assert sum(len(group["rules"]) for group in rules) > 10


def test_the_drift_service_goes_on_after_a_verdict_and_its_report_reaches_the_api(stack: Stack, face: bytes) -> None:
    assert httpx.post(f"{stack.address('API')}/predict/", files={"data": face}).status_code == 200

    def verdicts() -> int:
        done = engine("logs", stack.container("drift"))
        return (done.stdout + done.stderr).count("not enough data")

    until(lambda: verdicts() >= 2, seconds=120, what=lambda: engine("logs", stack.container("drift")).stderr)
    until(lambda: httpx.get(f"{stack.address('API')}/drift").json()["verdict"] == "not_enough_data")


def test_a_rolling_restart_under_load_loses_no_answered_row(stack: Stack, face: bytes) -> None:
    """Two servers, restarted one after the other, while callers go on with the one that answers."""
    first = stack.container("api")
    network = f"{PROJECT}_default"
    port = free_port()
    second = engine(
        *("run", "--detach", "--network", network, "--publish", f"127.0.0.1:{port}:8000"),
        *("--env", "DATABASE_URL=postgresql://faces:not-the-default@postgres:5432/faces", "--stop-timeout", "50"),
        *("--env", "LOG_DURABILITY=database", "--read-only", "--tmpfs", "/tmp", f"mlopsproject-api:{TAG}"),
    ).stdout.split()[-1]
    servers = [stack.address("API"), f"http://127.0.0.1:{port}"]
    answered: set[str] = set()
    lock, done = threading.Lock(), threading.Event()
    failures: list[str] = []

    def call(turn: int) -> None:
        # A stopped container does not refuse a connection; it is silent.
        with httpx.Client(timeout=httpx.Timeout(30, connect=0.5)) as client:
            while not done.is_set():
                turn += 1
                try:
                    answer = client.post(f"{servers[turn % 2]}/predict/", files={"data": face})
                except httpx.TransportError:
                    continue
                if answer.status_code == 200:
                    with lock:
                        answered.add(answer.json()["faces"][0]["prediction_id"])
                elif answer.status_code != 503:
                    failures.append(answer.text)

    try:
        until(lambda: httpx.get(f"{servers[1]}/ready").status_code == 200)
        callers = [threading.Thread(target=call, args=(turn,)) for turn in range(8)]
        for caller in callers:
            caller.start()
        for one, address in ((first, servers[0]), (second, servers[1])):
            time.sleep(3)
            served = len(answered)
            engine("restart", "--time", "50", one)
            until(lambda address=address: httpx.get(f"{address}/ready").status_code == 200)
            assert len(answered) > served, "the other one answers meanwhile"
        time.sleep(3)
        done.set()
        for caller in callers:
            caller.join(timeout=60)
        assert failures == []
        assert len(answered) > 200

        def missing() -> set[str]:
            return answered - set(stack.query("select prediction_id from predictions").split())

        until(lambda: not missing(), seconds=60, what=missing)
    finally:
        done.set()
        engine("rm", "--force", "--volumes", second)
