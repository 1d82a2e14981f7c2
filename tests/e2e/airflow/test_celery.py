"""The team's way: the services of `compose.yaml` as processes, with a real PostgreSQL, Redis and Celery worker."""

from __future__ import annotations

import base64
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from tests.e2e.airflow.airflow import DAG, ENDED, FOLDER, ROOT, TASKS, Api, wait_until
from tests.integration.postgres import USER, PostgresServer

from mlopsproject.load.processes import Server, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


@dataclass
class Team:
    """The services of `compose.yaml`, on ports of this machine.

    Attributes:
        python: the interpreter that Airflow is installed for.
        folder: what they write into.
        secrets: variables that `compose.yaml` asks for.
        ports: name of a service to its port.
        database: of PostgreSQL.
        stack: stops what was started.
    """

    python: Path
    folder: Path
    secrets: dict[str, str]
    ports: dict[str, int]
    database: str
    stack: ExitStack

    def settings(self, name: str) -> dict[str, str]:
        """A service's environment, as `compose.yaml` has it, with addresses of this machine."""
        environment = {key: self._filled(value) for key, value in COMPOSE["services"][name]["environment"].items()}
        return environment | {
            "AIRFLOW_HOME": str(self.folder / "home"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(FOLDER / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(FOLDER / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__API__PORT": str(self.ports["api-server"]),
            "AIRFLOW__CELERY__FLOWER_PORT": str(self.ports["flower"]),
            "PIPELINE_FOLDER": str(self.folder / "pipelines"),
            "FACES_SOURCE": str(ROOT / "train_data"),
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
        }

    def _filled(self, text: str) -> str:
        filled = VARIABLE.sub(lambda found: self.secrets.get(found[1], found[2] or ""), str(text))
        for name, port in self.ports.items():
            filled = re.sub(rf"(?<=[@/]){name}:\d+", f"127.0.0.1:{port}", filled)
        return re.sub(r"//airflow:(.*)/airflow$", rf"//{USER}:\1/{self.database}", filled)

    def start(self, name: str) -> Server:
        """Start a service by the command that `compose.yaml` has for it."""
        command = [str(self.python.with_name("airflow")), *COMPOSE["services"][name]["command"]]
        log = self.folder / f"{name}.log"
        server = Server(command, self.ports.get(name, 0), self.folder, log, self.settings(name))
        return self.stack.enter_context(server)


@pytest.fixture(scope="module")
def team(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    assert shutil.which("redis-server"), "This test needs Redis: apt-get install redis-server"
    folder = tmp_path_factory.mktemp("airflow")
    names = ("SECRET", "JWT_SECRET", "REDIS_PASSWORD", "ADMIN_PASSWORD", "FLOWER_PASSWORD")
    made = {f"AIRFLOW_{name}": secrets.token_hex(40) for name in names}
    made["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    made["AIRFLOW_HEARTBEAT_TIMEOUT"] = "20"
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        made["AIRFLOW_POSTGRES_PASSWORD"] = postgres.password
        database = postgres.create_database().rpartition("/")[2]
        ports = {"postgres": postgres.port, **{name: free_port() for name in ("redis", "api-server", "flower")}}
        redis = ["redis-server", "--port", str(ports["redis"]), "--bind", "127.0.0.1", "--save", ""]
        redis += ["--requirepass", made["AIRFLOW_REDIS_PASSWORD"]]
        stack.enter_context(Server(redis, ports["redis"], folder, folder / "redis.log"))
        found = Team(python, folder, made, ports, database, stack)
        done = subprocess.run(
            [str(FOLDER / "init.sh")], env=found.settings("init"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture(scope="module")
def api(team: Team) -> Api:
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "flower"):
        team.start(name)
    url = f"http://localhost:{team.ports['api-server']}"
    wait_until(lambda: httpx.get(f"{url}/api/v2/monitor/health").is_success, 120, "the API server")
    return Api(url, team.secrets["AIRFLOW_ADMIN_PASSWORD"])


def state(api: Api, run_id: str, task: str) -> tuple[str | None, int]:
    found: dict[str, Any] = api.tasks(run_id).get(task, {})
    return found.get("state"), found.get("try_number", 0)


def kill(server: Server) -> list[psutil.Process]:
    """Kill a worker and all of Airflow's processes below it; gives the project's commands that they ran."""
    assert server._process is not None
    worker = psutil.Process(server._process.pid)
    found = [worker, *worker.children(recursive=True)]
    commands = [process for process in found if "mlopsproject" in process.cmdline()]
    for process in found:
        if process not in commands:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    return commands


def test_a_run_ends_well_though_its_worker_is_killed_in_the_training(team: Team, api: Api) -> None:
    worker = team.start("worker")
    run_id = api.trigger()
    checkpoints = team.folder / "pipelines/runs" / DAG
    wait_until(lambda: list(checkpoints.glob("*/train/checkpoints/*.ckpt")), 240, "a checkpoint")
    assert state(api, run_id, "train") == ("running", 1)
    commands = kill(worker)
    assert commands
    # What nobody waits for any more ends by itself, before the next try.
    assert psutil.wait_procs(commands, timeout=15)[1] == []
    team.start("worker")
    wait_until(lambda: api.state(run_id) in ENDED, 420, "the end of the run")
    tasks = {name: (task["state"], task["try_number"]) for name, task in api.tasks(run_id).items()}
    assert tasks == {name: ("success", 2 if name == "train" else 1) for name in TASKS}
    assert "Resuming from" in api.log(run_id, "train", attempt=2)
    assert "Gate passed" in api.log(run_id, "promote")
    assert (team.folder / "pipelines/models/aliases/production").is_file()


def test_flower_shows_the_workers_to_those_who_know_the_password(team: Team, api: Api) -> None:
    address = f"http://localhost:{team.ports['flower']}"
    assert httpx.get(f"{address}/healthcheck").is_success
    assert httpx.get(f"{address}/workers").status_code == 401
    page = httpx.get(f"{address}/workers", auth=("admin", team.secrets["AIRFLOW_FLOWER_PASSWORD"]))
    assert "celery@" in page.text
