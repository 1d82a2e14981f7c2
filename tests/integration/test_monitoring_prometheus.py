"""The folder monitoring/ under real programs: promtool reads it, and Prometheus scrapes a real API of two workers."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.drift_examples import make_performance, make_report, publish

from mlopsproject.core.store import Store
from mlopsproject.load.pictures import CONTENT_TYPE, File, draw_faces, draw_photos, encode, form
from mlopsproject.load.processes import Server, api_server, free_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "monitoring"
SECONDS = 90

pytestmark = pytest.mark.slow


def program(name: str) -> str:
    """The path of one of Prometheus's programs."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"This test needs {name}: apt-get install prometheus")
    return found


def ask(port: int, path: str, **parameters: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"{path}?{urllib.parse.urlencode(parameters)}")
    answer = json.loads(connection.getresponse().read())
    assert answer["status"] == "success", answer
    return answer["data"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([program("promtool"), *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


class Clients(threading.Thread):
    """Callers who send faces, photos, bad pictures and feedback, a few times per second, on ever new connections."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        faces = [encode(pixels) for pixels in draw_faces(20)]
        self.port = port
        self.answered = 0
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self._faces = itertools.cycle([form([face]) for face in faces])
        self._batch = form(faces[:4])
        self._photo = form([encode(draw_photos(1)[0])])
        self._bad = form([File(b"no picture")])

    def run(self) -> None:
        try:
            while not self.ended.wait(0.02):
                self._once()
        except BaseException as error:  # for the test to see
            self.failure = error

    def _once(self) -> None:
        for body in (next(self._faces), next(self._faces), self._photo):
            document = self._post("/predict/", body, 200)
            self.answered += 1
        self._post("/predict/", self._bad, 400)
        self._post("/predict/batch", self._batch, 200)
        words = {"prediction_id": document["faces"][0]["prediction_id"], "label": document["predicted_emotion"]}
        self._post("/feedback", json.dumps(words).encode(), 200, "application/json")

    def _post(self, path: str, body: bytes, status: int, content_type: str = CONTENT_TYPE) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        assert answer.status == status, (path, answer.status, answer.read())
        return json.loads(answer.read())


class Scene(NamedTuple):
    """A Prometheus that has scraped an API under some load for a while, and still does."""

    prometheus: Server
    clients: Clients


def store_with_report(folder: Path) -> Path:
    """A store with the model that ships, and a drift report about it that finds nothing."""
    shipped, store = Store(ROOT / "models"), Store(folder / "models")
    name = shipped.resolve("production")
    store.publish(shipped.open(name).path)
    store.set_alias("production", name)
    performance = make_performance(verdict="ok", baseline=0.75)
    publish(
        store.uri,
        folder / "run",
        make_report(name, verdict="ok", created_at=datetime.now(UTC), drifted_share=0, performance=performance),
    )
    return folder / "models"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("monitoring")
    settings = {"WORKERS": 2, "MODEL_STORE": store_with_report(folder), "LOG_LEVEL": "WARNING"}
    with api_server(folder, folder / "api.log", settings) as api:
        api.wait_until_ready("/ready")
        shutil.copy(FOLDER / "alerts.yml", folder)
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{api.port}"]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        port = free_port()
        command = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with Server(command, port, folder, folder / "prometheus.log") as prometheus:
            prometheus.wait_until_ready("/-/ready")
            clients = Clients(api.port)
            clients.start()
            yield Scene(prometheus, clients)
            clients.ended.set()
            clients.join(60)


def dashboard_queries() -> list[tuple[str, str]]:
    panels = json.loads((FOLDER / "grafana/dashboard.json").read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


def value_of(scene: Scene, expression: str) -> list[float]:
    for name, value in {"$job": "mlopsproject-api", "$__rate_interval": "20s", "$__range": "1h"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    result = ask(scene.prometheus.port, "/api/v1/query", query=expression)["result"]
    return [value for series in result if math.isfinite(value := float(series["value"][1]))]


@pytest.mark.parametrize(("title", "expression"), dashboard_queries())
def test_every_query_of_the_dashboard_returns_data(scene: Scene, title: str, expression: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not value_of(scene, expression):
        assert scene.clients.failure is None, scene.clients.failure
        assert time.monotonic() < deadline, f"{title}: no data for {expression}"
        time.sleep(0.5)


def test_the_choices_of_the_dashboard_find_the_job(scene: Scene) -> None:
    test_every_query_of_the_dashboard_returns_data(scene, "any", "mlopsproject_requests_total")
    labels = ask(scene.prometheus.port, "/api/v1/label/job/values", **{"match[]": "mlopsproject_requests_total"})
    assert labels == ["mlopsproject-api"]


def test_rules_evaluate_without_error_and_a_healthy_api_raises_no_alarm(scene: Scene) -> None:
    test_every_query_of_the_dashboard_returns_data(scene, "any", "mlopsproject:reference_distance")
    rules = [rule for group in ask(scene.prometheus.port, "/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 10
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    assert {rule["name"] for rule in rules if rule.get("alerts")} - {
        "ManyUncertainAnswers",
        "PicturesOffReference",
    } == set()


def test_counts_are_of_both_workers_together(scene: Scene) -> None:
    scene.clients.ended.set()
    scene.clients.join(60)
    assert scene.clients.failure is None, scene.clients.failure
    expression = 'sum(mlopsproject_requests_total{job="$job", route="/predict/", status="200"})'
    deadline = time.monotonic() + SECONDS
    while value_of(scene, expression) != [scene.clients.answered]:
        assert time.monotonic() < deadline, (value_of(scene, expression), scene.clients.answered)
        time.sleep(0.5)
