"""What W&B was told of a training run, read back from the run's own file."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

#: What the fixture `run` returns.
Run = Any

pytestmark = pytest.mark.filterwarnings("ignore:Experiment logs directory")


def _records(path: Path) -> Iterator[Any]:
    """Records of a `.wandb` file: a LevelDB log after a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, parts = path.read_bytes(), 7, b""
    while position < len(content):
        if (left := -position % 32768) and left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7].ljust(7, b"\0"))
        if kind == 0 or position + 7 + length > len(content):
            break
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


@pytest.fixture(scope="module")
def logged(run: Run) -> dict[str, Any]:
    """`config`, `history` (list of dicts), `summary` and `artifacts` of the offline run."""
    files = list((run.output / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 1
    # W&B's own process may still be writing the file when the run has ended; its last record says so.
    deadline = time.monotonic() + 60
    while not any(record.WhichOneof("record_type") == "exit" for record in _records(files[0])):
        assert time.monotonic() < deadline, "the run's file has no end"
        time.sleep(0.2)
    seen: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "artifacts": []}
    for record in _records(files[0]):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            seen["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            for item in record.config.update:
                seen["config"][item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "history":
            items = record.history.item
            seen["history"].append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
        elif kind == "summary":
            for item in record.summary.update:
                seen["summary"][item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        elif kind == "artifact":
            seen["artifacts"].append(record.artifact)
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            seen["artifacts"].append(record.request.log_artifact.artifact)
    return seen


def test_wandb_gets_the_whole_config(logged: dict[str, Any]) -> None:
    assert logged["config"]["epochs"] == 4
    assert logged["config"]["model"]["filters"] == [4, 8]


def test_wandb_gets_the_learning_curves(run: Run, logged: dict[str, Any]) -> None:
    for name in ("val/acc", "train/loss"):
        curve = [entry[name] for entry in logged["history"] if name in entry]
        assert curve == pytest.approx([entry[name] for entry in run.result.history])


def test_wandb_gets_both_confusion_matrices_examples_and_plots(logged: dict[str, Any]) -> None:
    media = {key: value for entry in logged["history"] for key, value in entry.items() if isinstance(value, dict)}
    names = {key.partition("._type")[0] for key in {key for entry in logged["history"] for key in entry}} | set(media)
    assert {"test/confusion_raw", "test/confusion_normalised", "examples", "plots/confusion"} <= names


def test_wandb_gets_the_test_metrics(run: Run, logged: dict[str, Any]) -> None:
    assert logged["summary"]["test/accuracy"] == pytest.approx(run.result.metrics["accuracy"])


def test_wandb_gets_the_bundle_as_an_artifact(run: Run, logged: dict[str, Any]) -> None:
    assert run.result.bundle is not None
    artifact = next(each for each in logged["artifacts"] if each.type == "bundle")
    assert artifact.name == run.result.bundle.name
    files = {entry.path for entry in artifact.manifest.contents}
    assert set(run.result.bundle.spec.files) | {"spec.json"} == files
