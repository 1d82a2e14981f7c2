"""The load test as people run it: a real API, real Locust, and everything that can go wrong in between."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mlopsproject import load_test as job
from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle
from mlopsproject.load.processes import Server, api_server
from mlopsproject.load_test import load_test
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.settings import LogSettings

pytestmark = pytest.mark.slow

QUICK = ["users=4", "seconds=4", "max_p99_ms=null", "min_rps=null"]


@pytest.fixture
def start(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start("seconds=5", **environment)`` starts the command in a folder of its own, with the tiny bundle."""
    started = []

    def run(*overrides: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlopsproject.load_test", *QUICK, f"api.model={tiny_bundle.path}", *overrides],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def api(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """``api(MAX_WAITING=1)`` starts an API that the load test has not started."""
    started = []

    def run(**settings: object) -> Server:
        folder = tmp_path / "given"
        folder.mkdir()
        chosen = {"MODEL_URI": tiny_bundle.path, "LOG_LEVEL": "WARNING", **settings}
        server = api_server(folder, folder / "api.log", chosen).__enter__()
        started.append(server)
        server.wait_until_ready("/ready")
        return server

    yield run
    for server in started:
        server.stop()


def children(process: subprocess.Popen[str], name: str) -> list[psutil.Process]:
    """What the command has started under a name."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if name in child.cmdline()]


def wait_for_child(process: subprocess.Popen[str], name: str) -> psutil.Process:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if found := children(process, name):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{name} was not started")


def wait_for_answers(folder: Path) -> None:
    """Wait until clients have been answered."""
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in folder.glob("runs/load_test/*/answers.txt")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_api_of_its_own_is_tested_and_everything_answered_is_logged(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    # None of this may reach the API: it would keep no log, refuse nearly everything, or not start.
    (tmp_path / ".env").write_text("LOG_DURABILITY=off\nMAX_WAITING=1\n")
    process = start("api.workers=2", "seconds=6", LOG_DURABILITY="off", API_KEY="no", RATE_LIMIT="1/hour", PORT="1")
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, output + errors
    said = " ".join(output.split())
    assert "are in the prediction log, each once" in said
    assert "Back-pressure: 0 requests" in said
    (folder,) = tmp_path.glob("runs/load_test/*")
    with (folder / "locust_stats.csv").open(newline="") as stream:
        rows = {row["Name"]: row for row in csv.DictReader(stream)}
    assert rows["Aggregated"]["Failure Count"] == "0"
    assert {"/predict/ face, JPEG", "/predict/ face, PNG", "/feedback", "/health"} <= rows.keys()
    assert any(name.startswith("/predict/ bad: ") for name in rows)
    answers = (folder / "answers.txt").read_text().split()
    assert len(answers) == len(set(answers)) > 10
    assert "<html" in (folder / "report.html").read_text().lower()


def test_a_threshold_that_is_not_kept_ends_with_1(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("min_rps=1000000", "max_p99_ms=0")
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "min_rps=1000000" in output
    assert "max_p99_ms=0" in output
    assert "Traceback" not in errors


def test_an_api_that_dies_in_the_middle_ends_the_test_with_one_line(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start("seconds=120")
    server = wait_for_child(process, "mlopsproject.api")
    wait_for_answers(tmp_path)
    server.kill()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "The API ended in the middle of the test (exit code -9)" in errors
    assert "Traceback" not in errors + output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_test_leaves_nothing_behind(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: int, code: int
) -> None:
    process = start("seconds=120", "api.workers=2")
    wait_for_child(process, "locust")
    wait_for_answers(tmp_path)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 4
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_an_api_that_cannot_start_says_why(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = start(f"api.model={tmp_path / 'nothing'}")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "nothing" in errors
    assert "Traceback" not in errors


def test_a_given_host_is_tested_and_compared_with_its_database(
    api: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "a-key-that-only-tests-know")
    database = f"sqlite:///{tmp_path / 'log.db'}"
    migrate(LogSettings(data_dir=tmp_path, database_url=database))
    server = api(DATABASE_URL=database, API_KEY="a-key-that-only-tests-know")
    config = load_config("load_test", [*QUICK, f"host={server.url}", f"database_url={database}"])
    found = load_test(config, tmp_path / "out")
    assert found.exit_code == 0, capsys.readouterr().out
    assert found.comparison is not None
    assert found.comparison.answered > 10
    assert "each once" in capsys.readouterr().out


def test_without_its_database_a_host_is_not_compared_and_a_wrong_database_is_found_out(
    api: Callable[..., Server], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = api()
    found = load_test(load_config("load_test", [*QUICK, f"host={server.url}"]), tmp_path / "one")
    assert found.exit_code == 0
    assert found.comparison is None
    assert "NOT checked" in capsys.readouterr().out
    monkeypatch.setattr(job, "_DRAIN_SECONDS", 0.5)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    migrate(LogSettings(data_dir=tmp_path, database_url=other))
    config = load_config("load_test", [*QUICK, f"host={server.url}", f"database_url={other}"])
    found = load_test(config, tmp_path / "two")
    assert found.exit_code == 1
    assert found.comparison is not None
    assert len(found.comparison.missing) == found.comparison.answered > 0
    assert "are not in the prediction log" in " ".join(capsys.readouterr().out.split())


def test_a_busy_api_is_counted_apart(api: Callable[..., Server], tmp_path: Path) -> None:
    server = api(MAX_WAITING=1)
    found = load_test(load_config("load_test", [*QUICK, "users=16", f"host={server.url}"]), tmp_path / "out")
    assert found.figures.back_pressure > 0
    assert found.figures.reasons == {}
    assert found.exit_code == 0


def test_a_host_that_refuses_and_one_that_is_not_there_fail_with_reasons(
    api: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_KEY", raising=False)
    server = api(API_KEY="a-key-that-only-tests-know")
    config = load_config("load_test", [*QUICK, "seconds=2", f"host={server.url}"])
    found = load_test(config, tmp_path / "refused")
    assert found.exit_code == 1
    assert any("answered 401 (wrong_key)" in reason for reason in found.figures.reasons)
    server.stop()
    found = load_test(config, tmp_path / "gone")
    assert found.exit_code == 1
    assert any("no answer (ConnectionRefusedError)" in reason for reason in found.figures.reasons)


def test_the_locustfile_works_alone(api: Callable[..., Server], tmp_path: Path) -> None:
    server = api()
    locustfile = Path(__file__).with_name("locustfile.py")
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--host", server.url, "--headless"]
    done = subprocess.run(
        [*command, "--users", "2", "--run-time", "3s"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "/predict/ face, JPEG" in done.stdout + done.stderr
