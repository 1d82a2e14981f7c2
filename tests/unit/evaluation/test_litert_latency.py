"""Sizes and times of LiteRT files beside those of the bundle; the files themselves are run in `tests/e2e`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import ConfigError, UserError
from mlopsproject.evaluation import litert_latency
from mlopsproject.evaluation.litert_latency import latency_of_litert


@pytest.fixture
def folder(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    place = tmp_path / tiny_bundle.name
    place.mkdir()
    (place / "model.tflite").write_bytes(b"network")
    document = {"precisions": {"fp32": {"file": "model.tflite", "temperature": 1.5}}}
    (place / "litert.json").write_text(json.dumps(document))
    return tmp_path


def test_each_file_has_its_size_and_time(tiny_bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_latency, "_answer", lambda file, spec, temperature: lambda picture: np.ones((1, 5)) / 5)
    figures = latency_of_litert(str(tiny_bundle.path), "models", str(folder), rounds=1)
    assert figures["bundle"] == tiny_bundle.name
    assert list(figures["matrix"]) == ["ONNX Runtime, fp32", "ONNX Runtime, int8", "LiteRT, fp32"]
    assert figures["matrix"]["LiteRT, fp32"]["MB"] == 7e-6
    assert all(0 <= row["ms"] < 1000 for row in figures["matrix"].values())


def test_without_an_export_its_command_is_named(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"holds no LiteRT files\. Make them: .*litert\.bundle={tiny_bundle.name}"):
        latency_of_litert(str(tiny_bundle.path), "models", str(tmp_path), rounds=1)


def test_without_the_runtime_it_is_named(tiny_bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_latency, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="ai-edge-litert is not installed"):
        latency_of_litert(str(tiny_bundle.path), "models", str(folder), rounds=1)


def test_no_rounds_are_refused(tiny_bundle: Bundle, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"litert\.rounds=0"):
        latency_of_litert(str(tiny_bundle.path), "models", str(folder), rounds=0)
