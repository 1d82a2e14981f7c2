"""The command of vertex/train-nodes.yaml, run twice with the variables that Vertex AI sets: one training comes out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tests.unit.deploy.cloud_files import message

from mlopsproject.core.predictor import Predictor
from mlopsproject.load.processes import free_port

pytestmark = pytest.mark.slow

#: What is of the cloud in the file's arguments.
CLOUDY = ("data.root=", "data.name=", "store.uri=", "trainer.accelerator=")


def start_machine(folder: Path, rank: int, port: int, quick: Sequence[str]) -> subprocess.Popen[str]:
    """Start what Vertex AI would start on a machine, on the CPU and in a folder of its own."""
    folder.mkdir()
    container = message("vertex/train-nodes.yaml").job_spec.worker_pool_specs[rank].container_spec
    arguments = [argument for argument in container.args if not argument.startswith(CLOUDY)]
    vertex = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": str(rank)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        [*container.command, *quick, *arguments],
        cwd=folder,
        env={**os.environ, **vertex, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_machines_train_one_network(tmp_path: Path, quick_training: list[str]) -> None:
    port = free_port()
    quick = [*quick_training, "trainer.threads=1", "trainer.precision=32-true", "export.int8=false"]
    machines = [start_machine(tmp_path / str(rank), rank, port, quick) for rank in range(2)]
    said = [machine.communicate(timeout=250)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], "\n".join(said)
    (folder,) = (tmp_path / "0" / "runs" / "train").iterdir()
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 20, "80 pictures, 4 per machine and step, two epochs"
    (bundle,) = [path for path in (tmp_path / "0" / "models").iterdir() if path.name != "aliases"]
    assert Predictor.from_folder(bundle).spec.training["machine"].startswith("2 x ")
    assert not (tmp_path / "1" / "models").exists(), "only the first machine makes the bundle"
