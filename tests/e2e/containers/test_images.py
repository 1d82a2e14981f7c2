"""Every image: what is in it, how large it is, and how it runs with a read-only file system and no rights."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.e2e.containers.images import ROOT, run, until

from mlopsproject.load.container_benchmark import LARGEST_MB
from mlopsproject.load.containers import Container, engine, layers_mb

pytestmark = [pytest.mark.container, pytest.mark.timeout(1800)]

Start = Callable[..., Container]
Image = Callable[[str], str]

SERVICES = {"api": 8000, "frontend": 8501}
JOBS = ("evaluate", "drift")


def data_folder(tmp_path: Path, *names: str) -> tuple[str, ...]:
    """Options that mount a writable folder at /data, with copies of sample data in it."""
    for name in names:
        shutil.copytree(ROOT / name, tmp_path / name)
    subprocess.run(["chown", "-R", "10001:10001", str(tmp_path)], check=os.geteuid() == 0)
    return ("--volume", f"{tmp_path}:/data")


@pytest.mark.parametrize("name", LARGEST_MB)
def test_a_service_is_small(image: Image, name: str) -> None:
    assert layers_mb(image(name)) <= LARGEST_MB[name]


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("api", "torch pandas pyarrow hydra streamlit evidently"),
        ("frontend", "torch onnxruntime cv2 fastapi hydra evidently"),
        ("evaluate", "torch streamlit evidently fastapi"),
        ("drift", "torch streamlit pytorch_lightning"),
    ],
)
def test_an_image_has_only_what_its_room_needs(image: Image, name: str, absent: str) -> None:
    code = f"from importlib.util import find_spec; print([n for n in {absent.split()!r} if find_spec(n)])"
    said = run(image(name), "-c", code, options=("--entrypoint", "python"))
    assert said[0] == 0, said[1]
    assert "[]" in said[1].splitlines()


@pytest.mark.parametrize("name", [*SERVICES, *JOBS])
def test_nobody_is_root_and_only_data_is_written(image: Image, name: str) -> None:
    code = "import os; open('/data/x', 'w').write('x'); print(os.getuid(), os.getcwd()); open('/app/x', 'w')"
    status, said = run(image(name), "-c", code, options=("--entrypoint", "python"))
    assert status == 1
    assert "10001 /data" in said
    assert "Read-only file system" in said


@pytest.mark.parametrize("name", [*SERVICES, *JOBS])
def test_labels_say_what_an_image_is(image: Image, name: str) -> None:
    labels = json.loads(engine("inspect", "--format", "{{json .Config.Labels}}", image(name)).stdout)
    assert labels["org.opencontainers.image.title"] == f"mlopsproject-{name}"
    assert labels["org.opencontainers.image.licenses"] == "MIT"


def test_the_api_answers_and_keeps_what_it_answered(image: Image, container: Start, volume: str, face: bytes) -> None:
    for rows in (1, 2):
        api = container(image("api"), inside=8000, options=("--volume", f"{volume}:/data"))
        api.wait_for("/ready")
        answer = httpx.post(f"{api.url}/predict/", files={"data": face}, timeout=30)
        assert answer.status_code == 200, answer.text
        # Rows of the container before are still there.
        until(lambda rows=rows, api=api: httpx.get(f"{api.url}/stats").json()["total"] == rows)
        assert api.stop() == 0, api.logs()


def test_the_api_image_alone_is_api_and_page(image: Image, container: Start) -> None:
    api = container(image("api"), inside=8000)
    api.wait_for("/ready")
    page = httpx.get(f"{api.url}/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert 'type="file"' in page.text
    assert "mlopsproject_model_info" in httpx.get(f"{api.url}/metrics").text
    assert httpx.get(f"{api.url}/docs").status_code == 200


@pytest.mark.parametrize("name", SERVICES)
def test_the_port_is_that_of_the_environment(image: Image, container: Start, name: str) -> None:
    path = {"api": "/health", "frontend": "/_stcore/health"}[name]
    service = container(image(name), inside=9123, options=("--env", "PORT=9123"))
    service.wait_for(path)
    healthy = engine("exec", service.id, *health_command(image(name)), check=False)
    assert healthy.returncode == 0, healthy.stderr
    assert service.stop() == 0, service.logs()


def health_command(image: str) -> list[str]:
    (found,) = json.loads(engine("inspect", image).stdout)
    # docker says it in one place, podman in another.
    check = found["Config"].get("Healthcheck") or found["Healthcheck"]
    assert check["Test"][0] == "CMD"
    return list(check["Test"][1:])


def test_an_unhealthy_api_is_seen(image: Image) -> None:
    code, said = run(image("api"), *health_command(image("api"))[1:], options=("--entrypoint", "python"))
    assert code == 1, said


def test_a_wrong_setting_is_one_line_and_exit_code_one(image: Image) -> None:
    code, said = run(image("api"), options=("--env", "WORKERS=many"))
    assert code == 1
    assert "error: WORKERS is not possible" in said
    assert "Traceback" not in said


def test_the_evaluation_runs_on_mounted_data(image: Image, tmp_path: Path) -> None:
    options = data_folder(tmp_path, "train_data")
    code, said = run(image("evaluate"), "bundle=sample", "robustness_images=0", "bootstrap_samples=20", options=options)
    assert code == 0, said
    (metrics,) = tmp_path.glob("runs/evaluate/*/metrics.json")
    assert json.loads(metrics.read_text())["accuracy"] > 0.8
    assert list(tmp_path.glob("runs/evaluate/*/report.html"))


def test_the_drift_check_runs_on_mounted_pictures(image: Image, tmp_path: Path) -> None:
    options = data_folder(tmp_path, "drift_data")
    code, said = run(image("drift"), "bundle=sample", "current=drift_data", options=options)
    assert code == 3, said
    (verdict,) = tmp_path.glob("runs/drift/*/drift.json")
    assert json.loads(verdict.read_text())["verdict"] == "drift"


def test_the_drift_check_reads_the_log_that_the_api_wrote(
    image: Image, container: Start, tmp_path: Path, face: bytes
) -> None:
    options = data_folder(tmp_path)
    api = container(image("api"), inside=8000, options=options)
    api.wait_for("/ready")
    assert httpx.post(f"{api.url}/predict/", files={"data": face}, timeout=30).status_code == 200
    assert api.stop() == 0
    (database,) = tmp_path.glob("*.db")
    assert sqlite3.connect(database).execute("select count(*) from predictions").fetchone() == (1,)
    code, said = run(image("drift"), "current=log", "since=1d", options=options)
    assert code == 4, said
    assert (tmp_path / "models/drift").is_dir(), "the API reads reports from its store, which is in /data"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_in_order_on_sigterm(image: Image, container: Start, tmp_path: Path, name: str) -> None:
    options = data_folder(tmp_path, "train_data")
    long = ["bootstrap_samples=1000000"] if name == "evaluate" else ["current=train_data"]
    job = container(image(name), "bundle=sample", *long, options=options)
    until(lambda: ("Imported 2600" if name == "evaluate" else "Scoring") in job.logs(), seconds=120, what=job.logs)
    assert job.stop() == 143
    assert "Stopped by SIGTERM" in job.logs()
    assert "Traceback" not in job.logs()


def test_training_ships_a_bundle(image: Image, tmp_path: Path) -> None:
    """The large one: some gigabytes of PyTorch."""
    options = data_folder(tmp_path, "train_data")
    code, said = run(image("train"), "epochs=1", "export.robustness_images=0", options=options, timeout=1200)
    assert code == 0, said
    assert (tmp_path / "models/aliases/latest").is_file()
