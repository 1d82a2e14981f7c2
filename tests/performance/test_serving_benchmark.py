"""The serving benchmark measures what it says, on both sides. Its ratios are its own to print: machines are busy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlopsproject import Predictor
from mlopsproject.benchmark import benchmark
from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import ConfigError
from mlopsproject.load.bars import bars
from mlopsproject.load.baselines import Network
from mlopsproject.load.client import Measured
from mlopsproject.load.pictures import draw_faces, encode
from mlopsproject.load.serving_benchmark import benchmark_serving
from mlopsproject.load.sides import SIDES, ColdStart, Turn
from mlopsproject.load.usage import cpu_seconds, loaded_libraries, memory_mb, workers

QUICK = {
    "store": "models",
    "precision": "int8",
    "rounds": 1,
    "seconds": 0.2,
    "warmup": 0.1,
    "connections": 4,
    "faces": 3,
    "starts": 0,
}


def test_both_sides_are_measured_and_held_against_the_bar(tiny_bundle: Bundle, tmp_path: Path) -> None:
    figures = benchmark_serving(str(tiny_bundle.path), **QUICK, sides=["api", "minimal"], folder=tmp_path)
    assert figures["bundle"] == tiny_bundle.name
    rates = {side: figures[side]["requests/s"] for side in ("api", "minimal")}
    assert min(rates.values()) > 0
    ratio = figures["bars"]["RPS: API / minimal route"]
    assert ratio["measured"] == rates["api"] / rates["minimal"]
    assert ratio["bar"] == ">= 0.75"
    assert figures["bars"]["torch, pandas, pyarrow loaded by a worker"]["measured"] == 0
    assert 20 < figures["api"]["memory of a worker, MB"] < 1000
    assert figures["api"]["CPU per request, ms"] > 0
    assert figures["api at half of its peak"]["requests/s"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_job_measures_every_side_and_prints_every_bar(
    tiny_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = {**QUICK, "bundle": tiny_bundle.path, "starts": 1}
    config = load_config("benchmark", ["what=serving", *(f"serving.{key}={value}" for key, value in quick.items())])
    figures = benchmark(config, tmp_path / "out")
    for side in SIDES:
        assert figures[side]["requests/s"] > 0
    assert figures["client"]["requests/s against a route that does nothing"] > figures["api"]["requests/s"]
    assert len([figure for figure in figures["bars"].values() if figure["bar"]]) == 9
    said = " ".join(capsys.readouterr().out.split())
    for name in ("RPS: API / LitServe", "cold start to first answer, s", ">= 0.75", "<= 250"):
        assert name in said
    assert (tmp_path / "out" / "benchmark.json").is_file()


def test_a_plain_route_answers_as_the_predictor_does(tiny_bundle: Bundle) -> None:
    face = encode(draw_faces(1)[0]).content
    ours = Predictor(tiny_bundle, "int8").predict(face)[0]
    theirs = Network(tiny_bundle, "int8").answer(face)
    assert theirs["predicted_emotion"] == ours.label
    assert theirs["probabilities"] == pytest.approx(ours.probabilities, abs=1e-4)


def turn(
    per_second: float = 100.0,
    cpu_ms: float = 1.0,
    *,
    p99_ms: float = 6.0,
    memory_mb: float = 150.0,
    heavy: frozenset[str] = frozenset(),
) -> Turn:
    measured = Measured(100, 1.0, per_second=per_second, p50_ms=2.0, p99_ms=p99_ms, cpu_ms=cpu_ms, wrong={})
    return Turn(measured, measured, memory_mb=memory_mb, heavy=heavy, pending=0)


@pytest.mark.parametrize(
    ("side", "name", "met", "missed"),
    [
        ("minimal", "RPS: API / minimal route", 133.0, 134.0),
        ("reload", "RPS: API / model loaded per request", 20.0, 21.0),
        ("litserve", "RPS: API / LitServe", 83.0, 84.0),
        ("log_off", "share of RPS that the durable log costs", 125.0, 126.0),
    ],
)
def test_bars_of_speed_compare_the_best_turns(side: str, name: str, met: float, missed: float) -> None:
    ours = [turn(90.0), turn(100.0)]
    assert bars({"api": ours, side: [turn(met), turn(1.0)]}, [])[name]["met"] is True
    assert bars({"api": ours, side: [turn(missed), turn(1.0)]}, [])[name]["met"] is False


@pytest.mark.parametrize(("cpu_ms", "met"), [(0.5, True), (1.1, True), (1.11, False)])
def test_the_bar_of_two_workers_is_their_cpu_time(cpu_ms: float, met: bool) -> None:
    found = bars(
        {
            "api": [turn(cpu_ms=0.1), turn(), turn(cpu_ms=2.0)],
            "two_workers": [turn(50.0, 9.0), turn(50.0, cpu_ms), turn(50.0, 0.1)],
        },
        [],
    )
    assert found["CPU time per request: two workers / one"]["met"] is met


def test_bars_of_a_worker_and_of_latency() -> None:
    good = bars({"api": [turn()]}, [])
    bad = bars({"api": [turn(p99_ms=11.0, memory_mb=251.0, heavy=frozenset({"torch"}))]}, [])
    names = (
        "p99 / p50 at half of peak load",
        "resident memory per worker, MB",
        "torch, pandas, pyarrow loaded by a worker",
    )
    for name in names:
        assert good[name]["met"] is True
        assert bad[name]["met"] is False


def test_the_fastest_cold_start_counts() -> None:
    slow = bars({"api": [turn()]}, [ColdStart(3.5, 1.5), ColdStart(3.01, 1.75)])
    assert slow["CPU time of a cold start, s"] == {"measured": 1.5, "bar": None, "met": None}
    assert slow["cold start to first answer, s"] == {"measured": 3.01, "bar": "<= 3", "met": False}


def test_without_the_api_there_is_nothing_to_hold_against_a_bar() -> None:
    assert bars({"minimal": [turn()]}, []) == {}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sides", [], r"sides=\[\] is not possible"),
        ("sides", ["api", "minmal"], "did you mean 'minimal'"),
        ("precision", "fp16", "Known: fp32, int8"),
        ("rounds", 0, "rounds=0"),
        ("seconds", 0, "above 0"),
        ("warmup", -1, "warmup=-1"),
        ("connections", 0, "connections=0"),
        ("faces", 0, "faces=0"),
        ("starts", -1, "starts=-1"),
    ],
)
def test_what_cannot_be_measured_is_refused(key: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        benchmark_serving("production", **{**QUICK, "sides": ["api"], key: value})


@pytest.fixture
def heavy_process() -> Iterator[psutil.Process]:
    """A process that has loaded pyarrow, and waits."""
    code = "import pyarrow; print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield psutil.Process(process.pid)
        process.kill()


def test_a_heavy_library_in_a_running_process_is_seen(heavy_process: psutil.Process) -> None:
    loaded = loaded_libraries(heavy_process)
    assert "pyarrow" in loaded
    assert not loaded & {"torch", "onnxruntime"}
    assert memory_mb(heavy_process) > 20
    assert 0 < cpu_seconds(heavy_process.pid) < 60
    assert workers(heavy_process.pid) == [heavy_process]
