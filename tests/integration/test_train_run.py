"""One training run from data set to bundle, and everything it leaves behind."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from mlopsproject.benchmark import benchmark
from mlopsproject.config import load_config
from mlopsproject.core.bundle import open_bundle
from mlopsproject.core.errors import BundleError, UserError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.export import export
from mlopsproject.training.checkpoints import load_module
from mlopsproject.training.parity import measure_parity
from mlopsproject.training.run import TrainingResult, train


class Run(NamedTuple):
    """A finished training run with W&B offline."""

    result: TrainingResult
    output: Path
    store: Path
    data: Path
    dataset: FaceDataset


pytestmark = pytest.mark.filterwarnings("ignore:Experiment logs directory")


@pytest.fixture(scope="module")
def run(drawn_faces: Path, quick_training: list[str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("training")
    output, store = folder / "runs" / "train" / "now", folder / "models"
    overrides = [*quick_training, f"store.uri={store}", "epochs=4", "wandb.enabled=true", "wandb.mode=offline"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_CACHE_DIR", str(folder / "cache"))
        patch.setenv("WANDB_DATA_DIR", str(folder / "staging"))
        result = train(load_config("train", overrides), output)
    return Run(result, output, store, drawn_faces, load_dataset("drawn", root=drawn_faces, size=16))


def test_the_run_keeps_checkpoints_metrics_and_learning_curves(run: Run) -> None:
    names = {path.relative_to(run.output).as_posix() for path in run.output.rglob("*")}
    assert {"checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv", "report.html"} <= names
    for picture in ("plots/learning_curves.png", "plots/examples.png"):
        with Image.open(run.output / picture) as image:
            assert min(image.size) > 100


def test_every_epoch_has_its_own_figures_of_training_and_validation(run: Run) -> None:
    assert [entry["epoch"] for entry in run.result.history] == [0, 1, 2, 3]
    for entry in run.result.history:
        assert {"train/loss", "train/acc", "val/loss", "val/acc", "val/macro_f1"} <= set(entry)
    assert len({entry["train/loss"] for entry in run.result.history}) == 4
    assert run.result.history[-1]["train/loss"] < run.result.history[0]["train/loss"]
    rows = list(csv.DictReader((run.output / "metrics.csv").open()))
    for name in ("train/loss", "val/acc"):
        logged = [float(row[name]) for row in rows if row[name]]
        assert logged == pytest.approx([entry[name] for entry in run.result.history])


def test_ten_steps_are_made_per_epoch(run: Run) -> None:
    assert torch.load(run.output / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 40


def test_the_bundle_is_sealed_and_the_latest_of_its_store(run: Run) -> None:
    bundle = run.result.bundle
    assert bundle is not None
    assert open_bundle(bundle.path).spec == bundle.spec
    assert Store(run.store).names() == [bundle.name]
    assert Store(run.store).aliases() == {"latest": bundle.name}
    assert {path.name for path in run.store.iterdir()} == {"aliases", bundle.name}, "nothing half-made is left"
    files = set(bundle.spec.files)
    assert {
        "model.onnx",
        "model.int8.onnx",
        "weights.safetensors",
        "metrics.json",
        "reference.parquet",
        "train_hashes.parquet",
        "MODEL_CARD.md",
    } <= files


def test_the_bundle_says_what_it_was_made_from(run: Run) -> None:
    assert run.result.bundle is not None
    spec = run.result.bundle.spec
    assert spec.classes == run.dataset.classes
    assert spec.input == InputSpec(size=16)
    assert spec.training_data["fingerprint"] == run.dataset.fingerprint
    assert (spec.training_data["train"], spec.training_data["validation"], spec.training_data["test"]) == (80, 40, 40)
    assert spec.network["parameters"] > 0
    assert spec.library_versions["torch"] == importlib.metadata.version("torch")


def test_the_test_metrics_are_those_of_the_exported_bundle(run: Run, tmp_path: Path) -> None:
    assert run.result.bundle is not None
    measured = evaluate_bundle(
        Predictor(run.result.bundle), run.dataset, "test", tmp_path, bootstrap_samples=20, seed=0
    )
    reported = run.result.bundle.metrics()
    for name in ("accuracy", "macro_f1", "nll", "ece", "confusion"):
        assert reported[name] == measured[name]
    assert run.result.metrics == reported
    assert run.result.bundle.spec.metrics["test/accuracy"] == measured["accuracy"]


def test_the_network_has_learnt_the_patterns(run: Run) -> None:
    assert run.result.metrics["accuracy"] > 0.6


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_parity_the_same_png_through_data_module_checkpoint_onnx_and_predictor(run: Run) -> None:
    """The contract that everything after training rests on."""
    rows = run.dataset.splits["test"]
    assert run.result.bundle is not None
    predictor = Predictor(run.result.bundle, "fp32")
    module = load_module(run.result.checkpoint)
    with torch.no_grad():
        logits = module(torch.from_numpy(run.dataset.images[rows])).double().numpy() / predictor.temperature
    paths = [run.data.parent / "source" / path for path in run.dataset.manifest.column("path").take(rows).to_pylist()]
    answers = predictor.predict([path.read_bytes() for path in paths])
    answered = np.array([list(answer.probabilities.values()) for answer in answers])
    assert np.abs(answered - _softmax(logits)).max() <= 1e-4


def test_the_parity_command_measures_the_same_contract(run: Run, tmp_path: Path) -> None:
    assert run.result.bundle is not None
    overrides = [
        "what=parity",
        f"parity.checkpoint={run.output}",
        f"parity.bundle={run.result.bundle.path}",
        f"parity.root={run.data}",
        "parity.images=20",
    ]
    figures = benchmark(load_config("benchmark", overrides), tmp_path)
    assert (figures["images"], figures["int8_images"]) == (20, 40)
    assert 0 < figures["max_difference"] <= 1e-4
    assert 0.95 <= figures["int8_agreement"] <= 1
    assert json.loads((tmp_path / "benchmark.json").read_text()) == figures


def test_parity_with_a_bundle_of_other_weights_is_refused(run: Run) -> None:
    assert run.result.bundle is not None
    other = load_module(run.result.checkpoint)
    with torch.no_grad():
        other.network.head.weight += 1
    with pytest.raises(BundleError, match="was not made from that checkpoint"):
        measure_parity(other, run.result.bundle, run.dataset, images=5)


def test_int8_answers_like_fp32(run: Run) -> None:
    assert run.result.bundle is not None
    pictures = run.dataset.images[run.dataset.splits["test"]]
    fp32, int8 = (Predictor(run.result.bundle, precision).logits(pictures)[0] for precision in ("fp32", "int8"))
    assert not np.array_equal(fp32, int8)
    assert (fp32.argmax(1) == int8.argmax(1)).mean() >= 0.95


def test_the_exported_weights_are_the_averaged_ones_of_the_best_epoch(run: Run) -> None:
    checkpoint = torch.load(run.result.checkpoint, weights_only=True)
    name = "network.head.weight"
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["current_model_state"][name])
    assert torch.equal(load_module(run.result.checkpoint).state_dict()[name], checkpoint["state_dict"][name])


def test_export_makes_the_same_network_from_the_checkpoint_again(run: Run, tmp_path: Path) -> None:
    settings = [
        f"checkpoint={run.output / 'checkpoints' / 'best.ckpt'}",
        f"store.uri={tmp_path / 'again'}",
        f"data.root={run.data}",
        "export.int8=false",
        "export.bootstrap_samples=20",
    ]
    bundle = export(load_config("export", settings))
    assert run.result.bundle is not None
    assert list(bundle.spec.precisions) == ["fp32"]
    for name in ("weights.safetensors", "model.onnx"):
        assert bundle.spec.files[name] == run.result.bundle.spec.files[name]


def test_a_failed_export_leaves_nothing_in_the_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlopsproject.training.bundling.evaluate_bundle", full_disk)
    settings = [f"checkpoint={run.output}", f"store.uri={tmp_path / 'full'}", f"data.root={run.data}"]
    with pytest.raises((OSError, UserError), match="No space left"):
        export(load_config("export", [*settings, "export.int8=false"]))
    assert list((tmp_path / "full").iterdir()) == []


# ---- what W&B was told, read back from the run's own file


def _records(path: Path) -> Iterator[Any]:
    """Records of a `.wandb` file: a LevelDB log after a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, parts = path.read_bytes(), 7, b""
    while position < len(content):
        if (left := -position % 32768) and left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        if kind == 0:
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
    assert {"spec.json", "model.onnx"} <= {entry.path for entry in artifact.manifest.contents} or artifact.manifest
