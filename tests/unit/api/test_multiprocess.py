"""The folder in which the workers of one server share their metrics."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from mlopsproject.api import multiprocess


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch):
    monkeypatch.delenv(multiprocess.VARIABLE, raising=False)
    # `share_metrics` sets it; monkeypatch takes that back.
    monkeypatch.setenv(multiprocess.VARIABLE, "")


def as_worker_of(monkeypatch, pid):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: types.SimpleNamespace(pid=pid))


def test_a_process_alone_shares_nothing(tmp_path):
    assert multiprocess.share_metrics(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_sister_workers_find_the_same_folder(tmp_path, monkeypatch):
    as_worker_of(monkeypatch, os.getpid())
    folder = multiprocess.share_metrics(tmp_path)
    assert folder.parent == tmp_path / "metrics"
    assert multiprocess.shared_folder() == folder
    monkeypatch.setenv(multiprocess.VARIABLE, "")
    assert multiprocess.share_metrics(tmp_path) == folder


def test_workers_of_another_server_find_another(tmp_path, monkeypatch):
    as_worker_of(monkeypatch, os.getpid())
    first = multiprocess.share_metrics(tmp_path)
    monkeypatch.setenv(multiprocess.VARIABLE, "")
    as_worker_of(monkeypatch, os.getppid())
    second = multiprocess.share_metrics(tmp_path)
    assert first != second
    assert first.is_dir()  # in use: this process still holds it


def test_folders_that_nobody_uses_are_removed(tmp_path, monkeypatch):
    code = (
        "import multiprocessing, os, sys, types, pathlib\n"
        "from mlopsproject.api import multiprocess\n"
        "multiprocessing.parent_process = lambda: types.SimpleNamespace(pid=os.getpid())\n"
        "print(multiprocess.share_metrics(pathlib.Path(sys.argv[1])))"
    )
    environment = {name: value for name, value in os.environ.items() if name != multiprocess.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, env=environment
    )
    assert Path(done.stdout.strip()).is_dir()
    as_worker_of(monkeypatch, os.getpid())
    folder = multiprocess.share_metrics(tmp_path)
    assert list((tmp_path / "metrics").iterdir()) == [folder]


def test_a_folder_that_the_environment_names_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(multiprocess.VARIABLE, str(tmp_path / "mine"))
    assert multiprocess.share_metrics(tmp_path) == tmp_path / "mine"
    assert (tmp_path / "mine").is_dir()


def test_gauges_of_dead_workers_are_forgotten_and_counters_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (f"gauge_livesum_{dead.pid}.db", f"counter_{dead.pid}.db", f"gauge_livesum_{os.getpid()}.db"):
        (tmp_path / name).write_bytes(b"")
    multiprocess.forget_dead_workers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"counter_{dead.pid}.db", f"gauge_livesum_{os.getpid()}.db"}


def test_two_scrapes_may_forget_the_same_worker(tmp_path, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f"gauge_livesum_{dead.pid}.db").write_bytes(b"")

    def gone(pid, folder):
        raise FileNotFoundError(folder)

    monkeypatch.setattr("prometheus_client.multiprocess.mark_process_dead", gone)
    multiprocess.forget_dead_workers(tmp_path)
