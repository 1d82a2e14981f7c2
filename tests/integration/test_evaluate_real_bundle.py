"""Evaluation, reference, page and card with a real Predictor on a really imported data set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlopsproject.core.bundle import Bundle, seal_bundle
from mlopsproject.core.classes import FIVE
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.model_card import write_model_card
from mlopsproject.evaluation.reference import build_reference, reference_histograms, train_hashes
from mlopsproject.evaluation.report import write_report

Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, smooth_picture: Draw) -> FaceDataset:
    """Five classes as published in train, validation and test; one test picture is a copy of a training picture."""
    source, root = tmp_path_factory.mktemp("faces"), tmp_path_factory.mktemp("data")
    for split, count in (("train", 8), ("validation", 4), ("test", 4)):
        for number, name in enumerate(FIVE):
            folder = source / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                seed = hash((split == "train", split == "test", number, index)) % 2**31
                smooth_picture(48, 48, seed=seed, mode="L").save(folder / f"{index}.png")
    shutil.copy(source / "train" / "happy" / "0.png", source / "test" / "happy" / "0.png")
    import_dataset(source, "faces", root=root, split="official", workers=1, progress=False)
    return load_dataset("faces", root=root, progress=False)


@pytest.fixture
def staging(tiny_bundle: Bundle, faces: FaceDataset, tmp_path: Path) -> Path:
    """A folder about to be sealed, as training leaves it: network, draft spec, hashes of the training images."""
    folder = tmp_path / "staging"
    shutil.copytree(tiny_bundle.path, folder)
    draft = tiny_bundle.spec.model_copy(update={"name": "", "files": {}})
    (folder / "spec.json").write_text(draft.model_dump_json(), encoding="utf-8")
    pq.write_table(train_hashes(faces), folder / "train_hashes.parquet")
    return folder


def test_an_unsealed_folder_becomes_a_measured_sealed_bundle(staging: Path, faces: FaceDataset, tmp_path: Path) -> None:
    predictor = Predictor.from_folder(staging, verify=False)
    reference = build_reference(predictor, faces)
    pq.write_table(reference, staging / "reference.parquet")
    metrics = evaluate_bundle(predictor, faces, "test", staging, bootstrap_samples=20, progress=False)
    spec = predictor.spec.model_copy(update={"reference_histograms": reference_histograms(reference)})
    write_model_card(spec, metrics, staging / "MODEL_CARD.md")
    bundle = seal_bundle(staging, spec, tmp_path / "models", "tiny")
    assert bundle.metrics() == metrics | {"bundle": metrics["bundle"] | {"name": bundle.name}}
    assert {"plots/confusion.png", "reference.parquet", "train_hashes.parquet"} <= set(bundle.spec.files)
    again = evaluate_bundle(
        Predictor.from_folder(bundle.path), faces, "test", tmp_path / "again", bootstrap_samples=20, progress=False
    )
    changing = ("seconds", "created_at", "bundle")
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in metrics.items() if k not in changing
    }
    assert again["bundle"]["name"] == bundle.name
    assert "Unsealed" not in write_report(again, tmp_path / "again").read_text(encoding="utf-8")


def test_scores_are_those_of_the_predictor_one_by_one(tiny_bundle: Bundle, faces: FaceDataset, tmp_path: Path) -> None:
    predictor = Predictor.from_folder(tiny_bundle.path, precision="int8")
    metrics = evaluate_bundle(
        predictor, faces, "validation", tmp_path, bootstrap_samples=0, plots=False, progress=False, batch_size=3
    )
    rows = faces.splits["validation"]
    single = [predictor.predict_inputs(np.asarray(faces.images[row : row + 1]))[0] for row in rows]
    right = [item.label == faces.classes[label] for item, label in zip(single, faces.labels[rows], strict=True)]
    assert metrics["accuracy"] == pytest.approx(np.mean(right))
    assert metrics["abstention"]["answered"] == sum(not item.uncertain for item in single)
    assert metrics["bundle"]["precision"] == "int8"


def test_twins_agree_with_those_the_data_set_knows(staging: Path, faces: FaceDataset, tmp_path: Path) -> None:
    predictor = Predictor.from_folder(staging, verify=False)
    metrics = evaluate_bundle(predictor, faces, "test", tmp_path, bootstrap_samples=0, plots=False, progress=False)
    assert metrics["twins"]["exact"] == 1
    assert metrics["twins"]["near"] == faces.info["twins"]["with_twin_in_train"]["test"]
    assert metrics["without_twins"]["images"] == metrics["images"] - metrics["twins"]["near"]


def test_a_bundle_trained_elsewhere_has_no_twins_here(tiny_bundle: Bundle, faces: FaceDataset, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(tiny_bundle.path, folder)
    table = train_hashes(faces)
    shuffled = np.random.default_rng(0).integers(0, 2**63, table.num_rows, dtype=np.uint64)
    foreign = table.set_column(0, "pixel_hash", [[f"x{i}" for i in range(table.num_rows)]])
    pq.write_table(foreign.set_column(1, "perceptual_hash", [shuffled]), folder / "train_hashes.parquet")
    predictor = Predictor.from_folder(folder, verify=False)
    metrics = evaluate_bundle(
        predictor, faces, "test", tmp_path / "out", bootstrap_samples=0, plots=False, progress=False
    )
    assert (metrics["twins"]["exact"], metrics["twins"]["near"]) == (0, 0)
