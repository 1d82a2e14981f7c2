"""Airflow in its own environment, as processes of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "orchestration/airflow"
DAG, TASKS = "faces_to_production", ["ingest", "validate", "preprocess", "train", "evaluate", "promote"]
#: States that a run or task does not leave.
ENDED = ("success", "failed", "skipped", "upstream_failed")


def install() -> Path:
    """Install Airflow's environment from its lock, which needs the package registry once; give its interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(["uv", "sync", "--locked", "--quiet", f"--project={FOLDER}"], check=True, env=environment)
    return FOLDER / ".venv/bin/python"


def light(python: Path, folder: Path, port: int = 8080) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the light way, with everything that it writes below a folder."""
    command = [str(python), str(FOLDER / "standalone.py"), "--home", str(folder / "home"), "--port", str(port)]
    return command, {"PIPELINE_FOLDER": str(folder / "pipelines")}


def run(command: list[str], settings: Mapping[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Airflow and give what it printed."""
    return subprocess.run(
        [*command, *more], env={**os.environ, **settings}, capture_output=True, text=True, check=False, timeout=600
    )


def wait_until(done: Callable[[], Any], seconds: float, what: str) -> Any:
    """Ask again and again until there is an answer that counts as true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := done():
                return found
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(f"Not within {seconds} s: {what}")


class Api:
    """Airflow's public API, signed in.

    Args:
        url: of the server.
        password: of the user `admin`.
    """

    def __init__(self, url: str, password: str) -> None:
        answer = httpx.post(f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=30)
        answer.raise_for_status()
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=30)

    def get(self, path: str) -> Any:
        """What the API says."""
        answer = self.client.get(f"/api/v2/{path}")
        assert answer.is_success, answer.text
        return answer.json()

    def trigger(self, dag: str = DAG, **conf: object) -> str:
        """Start a run, as its form does; gives its id."""
        # A DAG is known some seconds after the first start.
        wait_until(lambda: self.client.get(f"/api/v2/dags/{dag}").is_success, 60, f"the DAG {dag}")
        self.client.patch(f"/api/v2/dags/{dag}", json={"is_paused": False}).raise_for_status()
        answer = self.client.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})
        assert answer.is_success, answer.text
        return str(answer.json()["dag_run_id"])

    def state(self, run_id: str, dag: str = DAG) -> str:
        """Of a run."""
        return str(self.get(f"dags/{dag}/dagRuns/{run_id}")["state"])

    def tasks(self, run_id: str, dag: str = DAG) -> dict[str, dict[str, Any]]:
        """The tasks of a run, by name."""
        return {one["task_id"]: one for one in self.get(f"dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]}

    def log(self, run_id: str, task: str, attempt: int = 1, dag: str = DAG) -> str:
        """What a task logged."""
        lines = self.get(f"dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}")["content"]
        return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
