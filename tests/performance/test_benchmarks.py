"""The benchmark commands measure what they say. Ratios are theirs to print: a busy machine must not fail a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mlopsproject.benchmark import BARS, WHAT, BarMissedError, check_bars
from mlopsproject.benchmark import main as benchmark_main
from mlopsproject.core.errors import ConfigError
from mlopsproject.data.benchmark import benchmark_import, draw_faces, report_import, report_opening
from mlopsproject.training.benchmark import benchmark_cases


def test_each_measured_step_answers_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_faces(tmp_path / "drawn", 100, side=24)
    assert len(list((tmp_path / "drawn").glob("*/*.jpg"))) == 100
    report_import(str(tmp_path / "drawn"), str(tmp_path / "data"), "1")
    report_opening(str(tmp_path / "data"), "drawn")
    imported, opened = map(json.loads, capsys.readouterr().out.splitlines())
    assert imported["images_per_second"] > 0
    assert imported["main_mb"] > 10
    assert opened["images"] == 100
    assert 0 < opened["seconds"] < 60


@pytest.mark.slow
def test_memory_stays_flat_and_a_large_data_set_opens_at_once(tmp_path: Path) -> None:
    figures = benchmark_import(20_000, 200_000, repeats=1, folder=tmp_path)
    assert figures["ratio"] == figures["two_workers"] / figures["one_worker"] > 0
    assert 0 < figures["open_seconds"] < 1
    assert figures["peak_mb_growth"] <= 300


@pytest.mark.slow
def test_every_side_of_the_training_benchmark_is_measured(drawn_faces: Path) -> None:
    overrides = ["data.name=drawn", f"data.root={drawn_faces}", "batch_size=16"]
    figures = benchmark_cases([{"model": "reference", "size": 16, "images": 64}], overrides, rounds=1)
    [(name, measured)] = figures.items()
    assert name.startswith("reference at 16 px, ")
    speeds = {key.removesuffix(", images/s"): value for key, value in measured.items() if key.endswith("images/s")}
    assert set(speeds) == {"plain", "epoch", "augmented", "compute", "ceiling"}
    assert min(speeds.values()) > 0
    assert speeds["ceiling"] > speeds["compute"]
    assert measured["epoch / plain loop"] == speeds["epoch"] / speeds["plain"]
    assert measured["augmented epoch / compute only"] == speeds["augmented"] / speeds["compute"]


@pytest.mark.parametrize(
    ("case", "rounds", "said"),
    [
        ({"images": 64}, 0, "train.rounds=0"),
        ({"images": 15}, 1, r"train\.cases\[1\]\.images=15 .*at least 16"),
        ({"images": 64, "size": 64.5}, 1, "data.size=64.5"),
    ],
)
def test_what_cannot_be_measured_is_refused(case: dict[str, Any], rounds: int, said: str) -> None:
    # The second, after one that could be measured: nothing is, if one of them cannot.
    usual = {"model": "reference", "size": 16, "images": 64}
    with pytest.raises(ConfigError, match=said):
        benchmark_cases([usual, {**usual, **case}], ["batch_size=16", "data.name=absent"], rounds=rounds)


@pytest.mark.parametrize(("key", "value"), [("images", 0), ("large", -1), ("repeats", 0)])
def test_an_import_that_cannot_be_measured_is_refused(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"^import\.{key}={value} is not possible"):
        benchmark_import(**{key: value})


def figure(measured: float | None, met: bool | None) -> dict[str, Any]:
    return {"measured": measured, "bar": None if met is None else ">= 0.75", "met": met}


def test_figures_that_meet_their_bars_or_have_none_pass() -> None:
    check_bars({"speed": 3.0})
    check_bars({BARS: {"ratio": figure(0.8, met=True), "shown": figure(0.1, met=None)}})


def test_a_missed_bar_is_an_error_that_names_it(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    missed = {BARS: {"ratio": figure(0.7, met=False), "other": figure(None, met=False), "third": figure(1.0, met=True)}}
    with pytest.raises(BarMissedError, match=r"^2 bars are missed\. ratio: 0\.70, the bar is >= 0\.75; other: -, "):
        check_bars(missed)
    monkeypatch.setitem(WHAT, "latency", lambda settings: missed)
    monkeypatch.setattr(sys, "argv", ["benchmark", "what=latency"])
    with pytest.raises(SystemExit) as left:
        benchmark_main()
    assert left.value.code == 1
    said = capsys.readouterr()
    assert "missed" in said.out
    assert "error: 2 bars are missed." in said.err
