"""The system of orchestration/airflow/compose.yaml: from Airflow's API to a promoted model, in containers."""

from __future__ import annotations

import base64
import os
import secrets
import shlex
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.e2e.airflow.airflow import ENDED, FOLDER, TASKS, Api, wait_until
from tests.e2e.containers.images import ROOT, STAND_INS, TAG, Compose, stand_in, until

from mlopsproject.load.containers import build, engine

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

FILES = ("orchestration/airflow/compose.yaml", "tests/e2e/containers/stand_ins/airflow.yaml")
SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer", "worker", "flower")


def build_airflow() -> None:
    """Build the image, from the training image, as the documentation says."""
    build("train", ROOT, "latest")
    image = f"mlopsproject-airflow:{TAG}"
    if builder := os.environ.get("CONTAINER_BUILD"):
        subprocess.run([*shlex.split(builder), str(FOLDER / "Dockerfile"), str(FOLDER), image], check=True)
    else:
        engine("build", "--tag", image, str(FOLDER), timeout=3600)


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_hex(20)


@pytest.fixture(scope="module")
def stack(password: str) -> Iterator[Compose]:
    build_airflow()
    if STAND_INS:
        stand_in("postgres")
        stand_in("redis")
    made = {
        f"AIRFLOW_{name}": secrets.token_hex(40)
        for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "FLOWER_PASSWORD", "SECRET", "JWT_SECRET")
    }
    made["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    services = Compose("airflow-test", FILES, ("AIRFLOW", "FLOWER"), AIRFLOW_ADMIN_PASSWORD=password, **made)
    services("down", "--volumes", check=False)
    try:
        services.up("postgres", "redis")
        until(lambda: services.database_is_ready("airflow"))
        services.finish("init")
        services.up(*SERVICES)
        yield services
    finally:
        services("down", "--volumes", check=False)


@pytest.fixture(scope="module")
def api(stack: Compose, password: str) -> Api:
    url = stack.address("AIRFLOW")
    wait_until(lambda: httpx.get(f"{url}/api/v2/monitor/health").is_success, 180, "the API server")
    return Api(url, password)


def test_the_pipeline_promotes_a_model(stack: Compose, api: Api) -> None:
    run_id = api.trigger(epochs=1, min_accuracy=0.05)
    wait_until(lambda: api.state(run_id) in ENDED, 600, "the end of the run")
    assert {name: task["state"] for name, task in api.tasks(run_id).items()} == dict.fromkeys(TASKS, "success")
    assert "Gate passed" in api.log(run_id, "promote")
    link = api.get(f"dags/faces_to_production/dagRuns/{run_id}/taskInstances/evaluate/links")["extra_links"]["Report"]
    assert "<html" in api.client.get(link).text


@pytest.mark.parametrize("service", SERVICES)
def test_the_health_check_of_a_service_passes(stack: Compose, api: Api, service: str) -> None:
    run: Callable[[], int] = lambda: engine("healthcheck", "run", stack.container(service), check=False).returncode  # noqa: E731
    until(lambda: run() == 0, seconds=180, what=lambda: engine("logs", stack.container(service)).stderr[-2000:])


def test_init_may_run_again_and_takes_a_new_password(stack: Compose, api: Api) -> None:
    stack.environment["AIRFLOW_ADMIN_PASSWORD"] = other = secrets.token_hex(20)
    stack("up", "--detach", "--no-build", "--no-deps", "--force-recreate", "init")
    container = stack.container("init")
    assert engine("wait", container).stdout.split()[-1] == "0"
    Api(stack.address("AIRFLOW"), other)
