from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlopsproject.data.benchmark import benchmark_import, draw_faces, report_import, report_opening


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
def test_the_import_keeps_its_bars(tmp_path: Path) -> None:
    figures = benchmark_import(20_000, 200_000, folder=tmp_path)
    assert figures["ratio"] >= 1.6
    assert figures["open_seconds"] < 1
    assert figures["peak_mb_growth"] <= 300
