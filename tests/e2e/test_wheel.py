"""The wheel in an empty environment, away from the repository: what `pip install` gives a person.

The packages come from uv's cache, or from the package index.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from mlopsproject.load.processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LARGEST_MB = 25


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder)], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the wheel with no extra."""
    place = tmp_path_factory.mktemp("venv")
    subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(place)], check=True)
    install(place / "bin", str(wheel))
    return place / "bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder but for a face."""
    shutil.copy(next((ROOT / "train_data/Happy").iterdir()), tmp_path / "face.png")
    return tmp_path


def install(programs: Path, what: str) -> None:
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(programs / "python"), what], check=True)


def run(programs: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    words = [str(programs / command[0]), *command[1:]]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= LARGEST_MB * 1_000_000


def test_the_converter_of_litert_files_is_in_it_with_its_lock(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    program = "mlopsproject/training/litert_converter.py"
    assert {program, f"{program}.lock"} <= set(names)


def test_python_code_loads_the_bundles_that_ship(installed: Path, folder: Path) -> None:
    code = (
        "import json, sys; from mlopsproject import Predictor\n"
        "said = [Predictor.load(name).predict('face.png')[0] for name in ('production', 'sample', 'seven')]\n"
        "print(json.dumps([[p.label, p.model_version] for p in said]))\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)\n"
    )
    done = run(installed, folder, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    versions = [version for _, version in json.loads(done.stdout)]
    assert versions == [
        (ROOT / "models/aliases" / name).read_text().strip() for name in ("production", "sample", "seven")
    ]


def test_a_job_without_its_extra_names_it(installed: Path, folder: Path) -> None:
    done = run(installed, folder, "mlopsproject", "predict", "input=face.png")
    assert done.returncode == 1
    assert "pip install 'mlopsproject[data]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_jobs_run_in_an_empty_folder(wheel: Path, installed: Path, folder: Path) -> None:
    install(installed, f"{wheel}[evaluate]")
    done = run(installed, folder, "mlopsproject", "predict", "input=face.png", "bundle=sample")
    assert done.returncode == 0, done.stderr
    assert "happy" in (folder / "predictions.csv").read_text()
    done = run(installed, folder, "mlopsproject", "sample-data", "faces", "--images", "400")
    assert done.returncode == 0, done.stderr
    done = run(installed, folder, "mlopsproject", "import-data", "source=faces", "name=faces")
    assert done.returncode == 0, done.stderr
    assert "Train on it: mlopsproject train data.name=faces" in done.stdout
    done = run(installed, folder, "mlopsproject", "evaluate", "bundle=sample", "data.name=faces", "robustness_images=0")
    assert done.returncode == 0, done.stderr
    assert list(folder.glob("runs/evaluate/*/report.html"))


def test_the_api_answers_with_the_bundle_that_ships(wheel: Path, installed: Path, folder: Path) -> None:
    install(installed, f"{wheel}[api]")
    port = free_port()
    with subprocess.Popen(
        [str(installed / "mlopsproject"), "api"],
        cwd=folder,
        env={"PORT": str(port), "PATH": "/usr/bin:/bin", "LOG_DURABILITY": "off"},
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if "Listening" in line:
                    break
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/model", timeout=60) as answer:
                assert json.load(answer)["model_version"] == (ROOT / "models/aliases/production").read_text().strip()
        finally:
            server.terminate()
        assert server.wait(timeout=60) == 0
