"""Teachers: what they say to the training pictures, and that a run learns from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.conftest import Run

from mlopsproject.config import load_config, values
from mlopsproject.core.errors import BundleError, ConfigError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.training.distillation import check_distill, soft_targets
from mlopsproject.training.run import train


def settings_with(quick_training: list[str], run: Run, *overrides: str) -> dict[str, Any]:
    config = load_config("train", [*quick_training, f"store.uri={run.store}", *overrides])
    settings: dict[str, Any] = values(config)
    return settings


def test_without_teachers_there_are_no_targets(quick_training: list[str], run: Run) -> None:
    assert soft_targets(settings_with(quick_training, run), run.dataset) is None


def test_targets_are_what_the_teacher_says_to_a_picture_and_its_mirror_image(
    quick_training: list[str], run: Run
) -> None:
    settings = settings_with(quick_training, run, "distill.teachers=[latest]")
    targets = soft_targets(settings, run.dataset, progress=False)
    assert targets is not None
    rows = run.dataset.splits["train"]
    images = run.dataset.images[rows]
    teacher = Predictor(run.result.bundle)  # type: ignore[arg-type]
    both = [teacher.logits(np.ascontiguousarray(seen))[0] for seen in (images, images[:, :, :, ::-1])]
    expected = teacher.probabilities((both[0] + both[1]) / 2)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets[rows], expected, atol=1e-6)
    for split in ("validation", "test"):
        assert not targets[run.dataset.splits[split]].any()


def test_teachers_are_averaged(quick_training: list[str], run: Run, tmp_path: Path) -> None:
    name = run.result.bundle.name  # type: ignore[union-attr]
    shutil.copytree(run.store / name, tmp_path / "copy")
    one = soft_targets(settings_with(quick_training, run, "distill.teachers=[latest]"), run.dataset)
    two = soft_targets(settings_with(quick_training, run, f"distill.teachers=[latest,{tmp_path}/copy]"), run.dataset)
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_teacher_that_knows_more_classes_is_asked_about_those_of_the_run(
    quick_training: list[str], run: Run, drawn_faces: Path
) -> None:
    classes = ["happy", "sad"]
    dataset: FaceDataset = load_dataset("drawn", root=drawn_faces, size=16, classes=classes)
    settings = settings_with(quick_training, run, "distill.teachers=[latest]", "classes=[happy,sad]")
    targets = soft_targets(settings, dataset)
    assert targets is not None
    assert targets.shape == (len(dataset.labels), 2)
    np.testing.assert_allclose(targets[dataset.splits["train"]].sum(1), 1, atol=1e-5)


def test_a_teacher_that_lacks_a_class_is_refused(quick_training: list[str], run: Run) -> None:
    settings = settings_with(quick_training, run, "distill.teachers=[latest]")
    other = FaceDataset(**{**vars(run.dataset), "classes": ("happy", "bored")})
    with pytest.raises(BundleError, match=r"distill\.teachers: .* does not know bored"):
        soft_targets(settings, other)


@pytest.mark.parametrize(
    ("key", "value"),
    [("weight", 1.5), ("weight", "much"), ("teachers", "latest"), ("teachers", [3]), ("teachers", None)],
)
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.{key}="):
        check_distill({"weight": 0.5, "teachers": []} | {key: value})


def test_a_run_learns_from_its_teacher_and_can_be_resumed_only_with_it(
    quick_training: list[str], run: Run, tmp_path: Path
) -> None:
    def trained(*overrides: str, name: str) -> list[dict[str, float]]:
        chosen = [*quick_training, f"store.uri={run.store}", "store.alias=null", "epochs=2", *overrides]
        return train(load_config("train", chosen), tmp_path / name).history

    taught = ["distill.teachers=[latest]", "distill.weight=1.0", "optim.label_smoothing=0"]
    with_teacher = trained(*taught, name="taught")
    alone = trained("optim.label_smoothing=0", name="alone")
    assert with_teacher[-1]["train/loss"] != alone[-1]["train/loss"]
    assert with_teacher[-1]["val/acc"] > 1 / len(run.dataset.classes)
    with pytest.raises(BundleError, match=r"distill\.teachers=\['latest'\], not \[\]"):
        trained("optim.label_smoothing=0", f"resume={tmp_path / 'taught'}", "epochs=3", name="again")
