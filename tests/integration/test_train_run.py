"""One training run from data set to bundle, and everything it leaves behind."""

from __future__ import annotations

import csv
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mlopsproject.benchmark import benchmark
from mlopsproject.config import load_config
from mlopsproject.core.bundle import open_bundle
from mlopsproject.core.errors import BundleError, StoreError, UserError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.export import export
from mlopsproject.training.bundling import ExportSettings, build_bundle
from mlopsproject.training.callbacks import training_record
from mlopsproject.training.checkpoints import load_module, read_checkpoint
from mlopsproject.training.parity import measure_parity
from mlopsproject.training.run import train

#: What the fixture `run` returns.
Run = Any

pytestmark = pytest.mark.filterwarnings("ignore:Experiment logs directory")


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


def test_the_card_can_be_measured_again_whatever_seed_trained(
    run: Run, quick_training: list[str], tmp_path: Path
) -> None:
    overrides = [*quick_training, f"store.uri={tmp_path / 'models'}", "epochs=1", "seed=5", "export.int8=false"]
    bundle = train(load_config("train", overrides), tmp_path / "run").bundle
    assert bundle is not None
    measured = evaluate_bundle(Predictor(bundle), run.dataset, "test", tmp_path / "again", bootstrap_samples=20)
    assert bundle.metrics()["intervals_95"] == measured["intervals_95"]


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


def test_export_says_which_checkpoint_it_took(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(run.output.parents[2])
    settings = ["checkpoint=latest", f"store.uri={tmp_path / 'again'}", f"data.root={run.data}", "export.int8=false"]
    with caplog.at_level("INFO", logger="mlopsproject"):
        export(load_config("export", [*settings, "export.bootstrap_samples=0", "store.alias=null"]))
    assert "Exporting runs/train/now/checkpoints/best.ckpt" in caplog.text
    assert Store(tmp_path / "again").aliases() == {}


@pytest.mark.parametrize(
    "wrong", ["export.max_risk=2", "bundle_name='a b'", "store.alias=a/b", "export.default_precision=fp16", "seed=-1"]
)
def test_export_refuses_what_cannot_be_before_it_reads_anything(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong.partition("=")[0]):
        export(load_config("export", [f"checkpoint={tmp_path / 'nowhere.ckpt'}", wrong]))


def test_weights_that_are_not_finite_are_not_shipped(run: Run, tmp_path: Path) -> None:
    module = load_module(run.result.checkpoint)
    with torch.no_grad():
        module.network.head.weight[0, 0] = float("nan")
    spec, settings = InputSpec(size=16), ExportSettings()
    with pytest.raises(BundleError, match=r"head\.weight holds NaN or infinite values: its training diverged"):
        build_bundle(
            module.network,
            module.hparams["model"],
            run.dataset,
            spec,
            tmp_path / "s",
            prefix="x",
            export=settings,
            training={"command": ""},
        )
    assert not (tmp_path / "s").exists()


def test_a_run_that_cannot_be_published_still_has_its_report_and_says_where_the_bundle_is(
    run: Run,
    quick_training: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def unreachable(*_: Any) -> None:
        raise StoreError("Store models: cannot upload it (no route).", "Check the network.")

    monkeypatch.setattr(Store, "_compare", unreachable)
    overrides = [*quick_training, f"store.uri={tmp_path / 'models'}", "export.int8=false", "epochs=5"]
    with caplog.at_level("INFO", logger="mlopsproject"), pytest.raises(StoreError) as caught:
        train(load_config("train", [*overrides, f"resume={run.output}"]), tmp_path / "run")
    (bundle,) = (tmp_path / "models").iterdir()
    said = str(caught.value)
    assert "cannot upload it" in said
    assert f"The bundle is kept in {bundle}." in said
    assert f"invoke promote -o bundle={bundle} -o store.uri={tmp_path / 'models'} -o alias=latest" in said
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").is_file()
    assert f"Bundle: {bundle}" in caplog.text


def test_a_run_says_no_before_it_reads_its_data(quick_training: list[str], run: Run, tmp_path: Path) -> None:
    nowhere = [*quick_training, "data.name=nowhere"]
    with pytest.raises(UserError, match=r"store\.alias=a/b"):
        train(load_config("train", [*nowhere, "store.alias=a/b"]), tmp_path / "new")
    with pytest.raises(UserError, match="there is no checkpoint"):
        train(load_config("train", [*nowhere, "resume=gone.ckpt"]), tmp_path / "new")
    with pytest.raises(UserError, match="holds an earlier run"):
        train(load_config("train", nowhere), run.output)


def test_resuming_with_another_batch_size_is_refused(run: Run, quick_training: list[str], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"trained with batch_size=8, not 16\."):
        train(load_config("train", [*quick_training, f"resume={run.output}", "batch_size=16"]), tmp_path / "new")


def test_a_failed_export_leaves_nothing_in_the_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlopsproject.training.bundling.evaluate_bundle", full_disk)
    settings = [f"checkpoint={run.output}", f"store.uri={tmp_path / 'full'}", f"data.root={run.data}"]
    with pytest.raises((OSError, UserError), match="No space left"):
        export(load_config("export", [*settings, "export.int8=false"]))
    assert list((tmp_path / "full").iterdir()) == []


def test_a_bundle_tells_how_it_was_trained(run: Run) -> None:
    assert run.result.bundle is not None
    training = run.result.bundle.spec.training
    assert (training["seed"], training["epochs"]) == (0, 4)
    assert 0 < training["seconds"] < 600
    assert training["command"].startswith("uv run invoke train")
    assert training["import_command"].startswith("uv run invoke import-data -o source=source -o name=drawn")
    told = training_record(read_checkpoint(run.output / "checkpoints" / "last.ckpt"))
    assert told["epochs"] == 4
    assert told["command"] == training["command"]
    assert 0 < told["seconds"] <= training["seconds"]
