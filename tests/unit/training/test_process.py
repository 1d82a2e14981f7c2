"""A training process shares the machine's cores, keeps freed memory, and is prepared before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mlopsproject.config import load_config
from mlopsproject.training.hardware import choose_compute
from mlopsproject.training.run import train
from mlopsproject.training.trainer import prepare_process


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Filled when freed memory is to be kept; threads are restored at the end."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found: list[bool] = []
    monkeypatch.setattr("mlopsproject.training.trainer.keep_freed_memory", lambda: found.append(True))
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


def test_on_the_cpu_freed_memory_is_kept(kept: list[bool]) -> None:
    prepare_process({"accelerator": "gpu", "devices": 1, "threads": None})
    assert kept == []
    prepare_process({"accelerator": "cpu", "devices": 1, "threads": None})
    assert kept == [True]


def test_the_configured_threads_hold_for_libraries_too(kept: list[bool]) -> None:
    prepare_process({"accelerator": "cpu", "devices": 2, "threads": 3})
    assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (3, "3")


def test_the_number_that_is_told_is_the_one_that_was_set(kept: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    prepare_process({"accelerator": "cpu", "devices": 1, "threads": 3})
    with caplog.at_level("INFO", logger="mlopsproject"):
        choose_compute("cpu", "32-true", channels_last=True, compile=False)
    assert "channels_last, 3 threads" in caplog.text


def test_processes_share_the_cores(kept: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)))
    prepare_process({"accelerator": "cpu", "devices": 2, "threads": None})
    assert torch.get_num_threads() == 3


def test_a_run_prepares_its_process_before_it_says_with_how_many_threads_it_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class PreparedError(Exception):
        pass

    def stop(settings: dict[str, Any]) -> None:
        raise PreparedError(settings["accelerator"])

    monkeypatch.setattr("mlopsproject.training.run.prepare_process", stop)
    with caplog.at_level("INFO", logger="mlopsproject"), pytest.raises(PreparedError, match="cpu"):
        train(load_config("train", [f"store.uri={tmp_path / 'models'}"]), tmp_path / "run")
    assert "Computing in" not in caplog.text
