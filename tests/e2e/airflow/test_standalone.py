"""The light way, `invoke airflow-up`: a run is triggered over the API, its logs and reports are read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from tests.e2e.airflow.airflow import DAG, ENDED, ROOT, TASKS, Api, light, wait_until

from mlopsproject.core.predictor import Predictor
from mlopsproject.load.processes import Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: Seconds that the sample pipeline may take, and memory of Airflow's own processes, in MB.
MOST_SECONDS, MOST_MB = 360, 2000


@dataclass
class Light:
    """Airflow, running.

    Attributes:
        url: of its page.
        process: the first of its processes.
        api: signed in.
        folder: what it writes into.
        memory: most MB (PSS) of Airflow's processes, of those of the project's commands, and of all at a time.
    """

    url: str
    process: psutil.Process
    api: Api
    folder: Path
    memory: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def measure(self) -> None:
        """Note how much memory is used now."""
        own = commands = 0.0
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                size = process.memory_full_info().pss / 1e6
                line = [word for one in (process, process.parent()) if one for word in one.cmdline()]
            except (psutil.Error, FileNotFoundError):
                continue
            own, commands = (own, commands + size) if "mlopsproject" in line else (own + size, commands)
        self.memory = [max(pair) for pair in zip(self.memory, (own, commands, own + commands), strict=True)]

    def finish(self, run_id: str, dag: str = DAG) -> str:
        """Wait for a run; gives its state."""

        def ended() -> str | None:
            self.measure()
            state = self.api.state(run_id, dag)
            return state if state in ENDED else None

        return str(wait_until(ended, MOST_SECONDS + 60, f"the end of {run_id}"))


@pytest.fixture(scope="module")
def airflow(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    folder, port = tmp_path_factory.mktemp("airflow"), free_port()
    command, settings = light(python, folder, port)
    with Server(command, port, ROOT, folder / "log", settings) as server:
        url = f"http://localhost:{port}"
        wait_until(lambda: httpx.get(f"{url}/api/v2/monitor/health").is_success, 120, "Airflow's health")
        passwords = json.loads((folder / "home/simple_auth_manager_passwords.json.generated").read_text())
        assert server._process is not None
        yield Light(url, psutil.Process(server._process.pid), Api(url, passwords["admin"]), folder)


@pytest.fixture(scope="module")
def finished(airflow: Light) -> str:
    """A run of the sample faces, to its end."""
    started = time.monotonic()
    run_id = airflow.api.trigger()
    state, seconds = airflow.finish(run_id), time.monotonic() - started
    assert state == "success", {name: task["state"] for name, task in airflow.api.tasks(run_id).items()}
    own, commands, together = airflow.memory
    figures = f"Airflow {own:.0f} MB, the project's commands {commands:.0f} MB, together {together:.0f} MB"
    sys.stdout.write(f"\npipeline {seconds:.0f} s; {figures}\n")
    assert seconds <= MOST_SECONDS
    assert own <= MOST_MB
    return run_id


def test_every_task_succeeds_at_once(airflow: Light, finished: str) -> None:
    tasks = airflow.api.tasks(finished)
    assert sorted(tasks) == sorted(TASKS)
    assert {(task["state"], task["try_number"]) for task in tasks.values()} == {("success", 1)}


def test_the_logs_have_what_the_commands_said(airflow: Light, finished: str) -> None:
    assert "2600 files" in airflow.api.log(finished, "ingest").replace(",", "")
    assert "Gate passed: right on" in airflow.api.log(finished, "promote")
    assert "test images of faces-" in airflow.api.log(finished, "promote")


def test_the_promoted_model_answers(airflow: Light, finished: str) -> None:
    predictor = Predictor.load("production", store=str(airflow.folder / "pipelines/models"))
    picture = next((ROOT / "train_data/Happy").iterdir())
    (answer,) = predictor.predict([picture.read_bytes()])
    assert answer.label == "happy"


def test_links_lead_to_the_reports_for_those_who_are_signed_in(airflow: Light, finished: str) -> None:
    links = {}
    for name in TASKS:
        found = airflow.api.get(f"dags/{DAG}/dagRuns/{finished}/taskInstances/{name}/links")["extra_links"]
        links[name] = found.get("Report")
    assert {name for name, link in links.items() if link} == {"validate", "train", "evaluate"}
    for link in filter(None, links.values()):
        page = airflow.api.client.get(link)
        assert "<html" in page.text
        assert "sandbox" in page.headers["content-security-policy"]
        assert httpx.get(f"{airflow.url}{link}").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        f"{DAG}/nothing.html",
        f"{DAG}/..%2f..%2fmodels/aliases/production",
        "..%2fdata/x",
        "%2e%2e/models/aliases/production",
        f"{DAG}/%2fetc%2fpasswd",
        f"{DAG}/",
    ],
)
def test_nothing_else_is_given_out(airflow: Light, finished: str, path: str) -> None:
    assert airflow.api.client.get(f"/artefacts/{path}").status_code == 404


def test_an_event_of_the_asset_starts_a_run_with_its_faces(airflow: Light, finished: str) -> None:
    (asset,) = airflow.api.get("assets")["assets"]
    assert asset["name"] == "new_faces"
    nowhere = str(airflow.folder / "nowhere")
    event = {"asset_id": asset["id"], "extra": {"source": nowhere}}
    airflow.api.client.post("/api/v2/assets/events", json=event).raise_for_status()

    def started() -> str | None:
        runs = airflow.api.get(f"dags/{DAG}/dagRuns")["dag_runs"]
        return next((run["dag_run_id"] for run in runs if run["run_type"].startswith("asset")), None)

    run_id = wait_until(started, 60, "a run for the event")
    assert airflow.finish(run_id) == "failed"
    assert nowhere in airflow.api.log(run_id, "ingest")
    # Faces that are not there do not come by trying again.
    assert airflow.api.tasks(run_id)["ingest"]["try_number"] == 1


def test_a_form_that_is_not_filled_in_well_is_refused(airflow: Light) -> None:
    for conf in ({"source": ""}, {"epochs": 0}, {"classes": "six"}, {"min_accuracy": 2}):
        answer = airflow.api.client.post(f"/api/v2/dags/{DAG}/dagRuns", json={"logical_date": None, "conf": conf})
        assert answer.status_code == 400, conf


def test_drift_leads_to_a_retraining_which_needs_new_faces(airflow: Light) -> None:
    models = str(ROOT / "models")
    watched = {"current": str(ROOT / "drift_data"), "alias": "sample", "store": models}
    run_id = airflow.api.trigger("drift_watch", **watched)
    assert airflow.finish(run_id, "drift_watch") == "failed"
    tasks = airflow.api.tasks(run_id, "drift_watch")
    assert {name: task["state"] for name, task in tasks.items()} == {
        "drift": "success",
        "has_drifted": "failed",
        "retrain": "upstream_failed",
    }
    log = airflow.api.log(run_id, "has_drifted", dag="drift_watch")
    assert "There is drift, and new_data names no labelled faces to learn from" in log


def test_without_drift_nothing_is_trained(airflow: Light) -> None:
    watched = {"current": str(ROOT / "train_data"), "alias": "sample", "store": str(ROOT / "models")}
    run_id = airflow.api.trigger("drift_watch", **watched)
    assert airflow.finish(run_id, "drift_watch") == "success"
    assert airflow.api.tasks(run_id, "drift_watch")["retrain"]["state"] == "skipped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_running_when_it_is_stopped(
    python: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    port = free_port()
    command, settings = light(python, tmp_path, port)
    with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL) as started:
        url = f"http://localhost:{port}/api/v2/monitor/health"
        wait_until(lambda: httpx.get(url).is_success, 120, "Airflow's health")
        everything = psutil.Process(started.pid).children(recursive=True)
        assert len(everything) > 4
        started.send_signal(number)
        assert started.wait(60) == code
    assert [process for process in everything if process.is_running()] == []
