"""The benchmark commands measure what they say. Ratios are theirs to print: a busy machine must not fail a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from mlopsproject.config import load_config
from mlopsproject.data.benchmark import benchmark_import, draw_faces, report_import, report_opening
from mlopsproject.training.benchmark import benchmark_cases
from mlopsproject.training.run import train
from mlopsproject.training.trainer import prepare_process


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
    assert figures["open_seconds"] < 1
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


def test_training_on_the_cpu_keeps_freed_memory_and_shares_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, kept = torch.get_num_threads(), []
    monkeypatch.setattr("mlopsproject.training.trainer.keep_freed_memory", lambda: kept.append(True))
    try:
        prepare_process({"accelerator": "cpu", "devices": 1, "threads": 3})
        assert (torch.get_num_threads(), kept) == (3, [True])
        prepare_process({"accelerator": "gpu", "devices": 1, "threads": None})
        assert kept == [True]
    finally:
        torch.set_num_threads(threads)


def test_a_training_run_prepares_its_process(
    drawn_faces: Path, quick_training: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PreparedError(Exception):
        pass

    def stop(settings: dict[str, Any]) -> None:
        raise PreparedError(settings["accelerator"])

    monkeypatch.setattr("mlopsproject.training.trainer.prepare_process", stop)
    with pytest.raises(PreparedError, match="cpu"):
        train(load_config("train", [*quick_training, f"store.uri={tmp_path / 'models'}"]), tmp_path / "run")
