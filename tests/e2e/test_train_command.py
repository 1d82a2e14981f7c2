"""`python -m mlopsproject.train` as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mlopsproject.core.predictor import Predictor
from mlopsproject.evaluation.plots import read_epochs


def command(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "mlopsproject.train", *overrides]


def group_members(group: int) -> list[int]:
    """Process ids of a process group that are running, zombies left out."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, own = stat.read_text().rpartition(")")[2].split()[:3]
            if int(own) == group and state != "Z":
                members.append(int(stat.parent.name))
    return members


def run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*overrides), cwd=folder, capture_output=True, text=True, timeout=280, check=False)


def test_a_typo_is_one_line_with_the_nearest_key_and_exit_code_one(tmp_path: Path) -> None:
    done = run(tmp_path, "epohcs=3")
    assert done.returncode == 1
    assert done.stderr == "error: 'epohcs' is not a config key of train; did you mean 'epochs'?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_missing_data_is_one_line_that_names_the_import_command(tmp_path: Path) -> None:
    done = run(tmp_path, "data.name=nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert re.search(r"^error: .*nowhere.*import-data", done.stderr, re.MULTILINE)


@pytest.mark.slow
def test_a_whole_run_prints_its_epochs_its_test_metrics_and_its_bundle(
    tmp_path: Path, quick_training: list[str]
) -> None:
    done = run(tmp_path, *quick_training)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sum("epoch" in line and "val/acc" in line for line in lines) == 2
    assert "accuracy" in done.stdout
    assert "Warning" not in done.stderr, "nothing that a user cannot act on"
    assert len(lines) < 20
    name = Path(tmp_path, "models", "aliases", "latest").read_text().strip()
    assert name in done.stderr
    assert Predictor.load("latest", store=tmp_path / "models").model_version == name


@pytest.mark.slow
@pytest.mark.parametrize(("key", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_resume(
    tmp_path: Path, quick_training: list[str], key: signal.Signals, code: int
) -> None:
    with subprocess.Popen(
        command(*quick_training, "epochs=100000", "callbacks.ema=0.9"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 3/" in line:
                break
        process.send_signal(key)
        said = process.stderr.read()
        assert process.wait(timeout=60) == code
    assert "Traceback" not in said
    last = re.search(r"uv run invoke train -o data\.root=.* -o callbacks\.ema=0\.9 -o resume=(\S+last\.ckpt)\n", said)
    assert last is not None, said
    epoch = torch.load(last[1], weights_only=True)["epoch"]
    assert epoch >= 2
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
    done = run(
        tmp_path, *quick_training, f"epochs={epoch + 2}", "callbacks.ema=0.9", "resume=latest", "export.int8=false"
    )
    assert done.returncode == 0, done.stderr
    assert f"epoch {epoch + 2}/{epoch + 2}" in done.stderr


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path, quick_training: list[str]) -> None:
    done = run(tmp_path, *quick_training, "trainer=ddp", "trainer.threads=1", "export.int8=false")
    assert done.returncode == 0, done.stderr
    assert sum("val/acc" in line for line in done.stderr.splitlines()) == 2, "only the first process reports"
    (folder,) = (tmp_path / "runs" / "train").iterdir()
    assert len(list(folder.glob("metrics*.csv"))) == 1
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 20, "80 pictures, 4 per process and step"
    (bundle,) = [path for path in (tmp_path / "models").iterdir() if path.name != "aliases"]
    assert Predictor.from_folder(bundle).spec.training_data["train"] == 80


@pytest.mark.slow
def test_ctrl_c_stops_two_processes_with_a_checkpoint(tmp_path: Path, quick_training: list[str]) -> None:
    with subprocess.Popen(
        command(*quick_training, "trainer=ddp", "epochs=100000"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 3/" in line:
                break
        # As a terminal does: to every process of the group.
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=60) == 1
    deadline = time.monotonic() + 30
    while (alive := group_members(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive, "no process is left behind"
    assert "resume=" in said
    (last,) = (tmp_path / "runs" / "train").glob("*/checkpoints/last.ckpt")
    epoch = torch.load(last, weights_only=True)["epoch"]
    assert epoch >= 2
    done = run(tmp_path, *quick_training, "trainer=ddp", f"epochs={epoch + 2}", "resume=latest", "export.int8=false")
    assert done.returncode == 0, done.stderr
    resumed = max((tmp_path / "runs" / "train").iterdir())
    curve = read_epochs(resumed / "metrics.csv", ["val/acc"])["val/acc"]
    assert sorted(curve) == list(range(epoch + 2)), "the epochs of both runs"


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["cpu", "ddp"])
def test_a_run_that_diverges_ends_with_one_line(tmp_path: Path, quick_training: list[str], trainer: str) -> None:
    done = run(
        tmp_path, *quick_training, f"trainer={trainer}", "epochs=50", "lr=1e30", "trainer.gradient_clip_val=null"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: training diverged in epoch 1 (train/loss is nan). Give a lower lr= than 1e+30." in done.stderr
    assert not list((tmp_path / "models").glob("*")), "nothing is shipped"


@pytest.mark.slow
def test_a_compiled_network_trains_and_ships(tmp_path: Path, quick_training: list[str]) -> None:
    done = run(tmp_path, *quick_training, "trainer.compile=true", "export.int8=false")
    assert done.returncode == 0, done.stderr
    assert "compiled" in done.stderr
    assert len(list((tmp_path / "models").glob("reference-cnn-*"))) == 1
