"""Teachers: what they say to the training pictures, and that a run learns from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.integration.conftest import Run

from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, ConfigError
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.export import export
from mlopsproject.training.augment import warp
from mlopsproject.training.bundling import ExportSettings, build_bundle
from mlopsproject.training.checkpoints import load_module
from mlopsproject.training.distillation import VIEWS, _seen_as, check_distill, open_teachers, soft_targets
from mlopsproject.training.online_distillation import OnlineTeachers
from mlopsproject.training.run import TrainingResult, train


@pytest.fixture
def data(run: Run, drawn_faces: Path) -> dict[str, Any]:
    """The `data` group of the drawn faces."""
    return {"name": "drawn", "root": str(drawn_faces), "drop_twins": True}


@pytest.fixture(scope="module")
def other_teacher(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that says the class after the one that the finished run says: its head's rows are moved by one."""
    module = load_module(run.result.checkpoint)
    for parameter in module.network.head.parameters():
        parameter.data = parameter.data.roll(1, 0)
    export = ExportSettings(int8=False, robustness_images=0, bootstrap_samples=0)
    arguments: dict[str, Any] = {"prefix": "other", "export": export, "training": {"command": "none"}}
    store = tmp_path_factory.mktemp("other")
    return build_bundle(module.network, module.hparams["model"], run.dataset, module.input_spec, store, **arguments)


def asked(bundle: Bundle, dataset: FaceDataset) -> np.ndarray:
    """Probabilities for the mean logits of the training pictures and their mirror images."""
    images = dataset.images[dataset.splits["train"]]
    teacher = Predictor(bundle)
    both = [teacher.logits(np.ascontiguousarray(seen))[0] for seen in (images, images[:, :, :, ::-1])]
    return teacher.probabilities((both[0] + both[1]) / 2)


def test_without_teachers_there_are_no_targets(run: Run, data: dict[str, Any]) -> None:
    assert soft_targets([], data, run.dataset) is None


def test_targets_are_the_mean_of_what_the_teachers_say(run: Run, data: dict[str, Any], other_teacher: Bundle) -> None:
    assert run.result.bundle is not None
    teachers = [run.result.bundle, other_teacher]
    targets = soft_targets(teachers, data, run.dataset, progress=False)
    assert targets is not None
    answers = [asked(teacher, run.dataset) for teacher in teachers]
    assert np.abs(answers[0] - answers[1]).max() > 0.5
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets[run.dataset.splits["train"]], np.mean(answers, axis=0), atol=1e-6)
    for split in ("validation", "test"):
        assert not targets[run.dataset.splits[split]].any()


def teachers_of_parts(run: Run, folder: Path, count: int) -> list[Bundle]:
    """The finished run's network, as if each had been trained without another part of the pictures."""
    module = load_module(run.result.checkpoint)
    export = ExportSettings(int8=False, robustness_images=0, bootstrap_samples=0)
    arguments: dict[str, Any] = {"export": export, "training": {"command": "none"}}
    found = []
    for number in range(1, count + 1):
        part = load_dataset("drawn", root=run.data, size=16, leave_out=f"{number}/{count}")
        names = (module.network, module.hparams["model"], part, module.input_spec, folder / str(number))
        found.append(build_bundle(*names, prefix=f"part-{number}", **arguments))
    return found


def test_a_teacher_can_be_asked_about_pictures_only_that_it_has_not_seen(
    run: Run, data: dict[str, Any], tmp_path: Path
) -> None:
    teachers = teachers_of_parts(run, tmp_path, 3)
    every = soft_targets(teachers[:1], data, run.dataset, progress=False)
    apart = soft_targets(teachers, data, run.dataset, unseen=True, progress=False)
    assert every is not None
    assert apart is not None
    # One network under three names: each picture has exactly one answer, the same as when all are asked.
    np.testing.assert_allclose(apart, every, atol=1e-6)
    with pytest.raises(ConfigError, match=r"distill\.unseen=true: \d+ training pictures were seen by all teachers"):
        soft_targets(teachers[:2], data, run.dataset, unseen=True, progress=False)


def test_several_views_are_averaged(run: Run, data: dict[str, Any]) -> None:
    assert run.result.bundle is not None
    teacher, rows = Predictor(run.result.bundle), run.dataset.splits["train"]
    images = torch.from_numpy(run.dataset.images[rows]).float()
    zoomed = warp(images, degrees=0, right=0, down=0, zoom=1.075).round().clamp(0, 255).to(torch.uint8).numpy()
    seen = [run.dataset.images[rows], zoomed]
    logits = [teacher.logits(np.ascontiguousarray(x))[0] for view in seen for x in (view, view[:, :, :, ::-1])]
    targets = soft_targets([run.result.bundle], data, run.dataset, views=2, progress=False)
    assert targets is not None
    np.testing.assert_allclose(targets[rows], teacher.probabilities(np.mean(logits, axis=0)), atol=1e-5)


def test_every_view_is_a_slight_change(run: Run) -> None:
    images = run.dataset.images[:8]
    pictures = [_seen_as(images, *view) for view in VIEWS]
    np.testing.assert_array_equal(pictures[0], images)
    changes = [np.corrcoef(picture.ravel(), images.ravel())[0, 1] for picture in pictures[1:]]
    assert 0.8 < min(changes) < max(changes) < 1
    assert len({picture.tobytes() for picture in pictures}) == len(VIEWS)


def test_a_teacher_that_knows_more_classes_is_asked_about_those_of_the_run(
    run: Run, data: dict[str, Any], drawn_faces: Path
) -> None:
    assert run.result.bundle is not None
    dataset = load_dataset("drawn", root=drawn_faces, size=16, classes=["sad", "happy"])
    targets = soft_targets([run.result.bundle], data, dataset)
    assert targets is not None
    rows = dataset.splits["train"]
    assert targets.shape == (len(dataset.labels), 2)
    np.testing.assert_allclose(targets[rows].sum(1), 1, atol=1e-5)
    assert (targets[rows].argmax(1) == dataset.labels[rows]).mean() > 0.8


def test_a_teacher_that_lacks_a_class_or_is_missing_is_refused(run: Run) -> None:
    distill = {"teachers": ["latest"], "weight": 0.5}
    with pytest.raises(BundleError, match=r"distill\.teachers: .* does not know bored"):
        open_teachers(distill, ("happy", "bored"), store=str(run.store))
    with pytest.raises(Exception, match="nobody"):
        open_teachers({"teachers": ["nobody"], "weight": 0.5}, ("happy",), store=str(run.store))


def test_with_a_weight_of_0_nobody_is_asked(run: Run) -> None:
    assert open_teachers({"teachers": ["nobody"], "weight": 0}, ("happy",), store=str(run.store)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weight", 1.5),
        ("weight", "much"),
        ("teachers", "latest"),
        ("teachers", [3]),
        ("teachers", None),
        ("views", 0),
        ("views", 9),
    ],
)
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"distill\.{key}="):
        check_distill({"weight": 0.5, "teachers": [], "views": 1, "unseen": False, "online": False} | {key: value})


def taught(quick_training: list[str], store: Path, output: Path, *overrides: str) -> TrainingResult:
    chosen = [*quick_training, f"store.uri={store}", "store.alias=null", "optim.label_smoothing=0", *overrides]
    return train(load_config("train", [*chosen, "export.bootstrap_samples=0", "export.robustness_images=0"]), output)


def test_a_run_learns_what_its_teacher_says_rather_than_the_labels(
    quick_training: list[str], run: Run, other_teacher: Bundle, tmp_path: Path
) -> None:
    teacher = f"distill.teachers=[{other_teacher.path}]"
    result = taught(quick_training, tmp_path / "s", tmp_path / "a", teacher, "distill.weight=1.0", "epochs=10")
    assert result.bundle is not None
    # The last checkpoint: the best one is the one that agrees with the labels most.
    module = load_module(tmp_path / "a" / "checkpoints" / "last.ckpt")
    rows = run.dataset.splits["train"]
    said = module(torch.from_numpy(run.dataset.images[rows])).argmax(1).numpy()
    teachers = Predictor(other_teacher).logits(run.dataset.images[rows])[0].argmax(1)
    assert (said == teachers).mean() > 0.4
    assert (said == run.dataset.labels[rows]).mean() < 0.3
    # What it learnt from is on record, by name.
    assert result.bundle.spec.training["teachers"] == [other_teacher.name]


def test_a_run_can_be_resumed_only_with_the_teachers_it_had(
    quick_training: list[str], run: Run, other_teacher: Bundle, tmp_path: Path
) -> None:
    teacher = f"distill.teachers=[{other_teacher.path}]"
    taught(quick_training, tmp_path / "s", tmp_path / "a", teacher, "epochs=1")
    with pytest.raises(BundleError, match=rf"distill\.teachers=\['{other_teacher.name}'\], not \[\]"):
        taught(quick_training, tmp_path / "s", tmp_path / "b", f"resume={tmp_path / 'a'}", "epochs=2")
    taught(quick_training, tmp_path / "s", tmp_path / "c", teacher, f"resume={tmp_path / 'a'}", "epochs=2")


def hashes(bundle: Bundle) -> set[str]:
    return set(pq.read_table(bundle.file("train_hashes.parquet"))["pixel_hash"].to_pylist())


def test_training_pictures_of_a_teacher_and_of_the_bundle_one_begins_as_count_as_seen(
    quick_training: list[str], run: Run, tmp_path: Path
) -> None:
    assert run.result.bundle is not None
    start = f"model.init_from={run.result.bundle.path}"
    result = taught(quick_training, tmp_path / "s", tmp_path / "a", start, "classes=[happy,sad]", "epochs=1")
    assert result.bundle is not None
    assert result.bundle.spec.training["init_from"] == run.result.bundle.name
    assert hashes(result.bundle) == hashes(run.result.bundle)
    assert len(hashes(result.bundle)) > result.bundle.spec.training_data["train"]


def test_an_export_of_a_checkpoint_lists_what_its_lineage_saw(
    quick_training: list[str], run: Run, other_teacher: Bundle, tmp_path: Path
) -> None:
    assert run.result.bundle is not None
    store = tmp_path / "s"
    for bundle in (run.result.bundle, other_teacher):
        shutil.copytree(bundle.path, store / bundle.name)
    chosen = [f"model.init_from={run.result.bundle.name}", f"distill.teachers=[{other_teacher.name}]"]
    taught(quick_training, store, tmp_path / "a", *chosen, "classes=[happy,sad]", "epochs=1")
    data = [f"data.root={run.data}", f"checkpoint={tmp_path / 'a'}", f"store.uri={store}", "store.alias=null"]
    quick = ["export.int8=false", "export.bootstrap_samples=0", "export.robustness_images=0"]
    exported = export(load_config("export", [*data, *quick]))
    assert hashes(exported) == hashes(run.result.bundle) | hashes(other_teacher)
    assert exported.spec.training["teachers"] == [other_teacher.name]
    assert exported.spec.training["init_from"] == run.result.bundle.name
    shutil.rmtree(store / other_teacher.name)
    with pytest.raises(BundleError, match=f"{other_teacher.name}, which this network learnt from, cannot be opened"):
        export(load_config("export", [*data, *quick]))


def test_online_teachers_answer_as_their_bundles_do(run: Run, other_teacher: Bundle) -> None:
    assert run.result.bundle is not None
    images = run.dataset.images[:16]
    answers = OnlineTeachers([run.result.bundle, other_teacher], run.dataset.classes, other_teacher.spec.input).answers(
        torch.from_numpy(images).float() / 255
    )
    predictors = [Predictor(bundle, "fp32") for bundle in (run.result.bundle, other_teacher)]
    expected = np.mean([p.probabilities(p.logits(images)[0]) for p in predictors], axis=0)
    np.testing.assert_allclose(answers.numpy(), expected, atol=1e-5)


def test_online_teachers_see_every_picture_as_it_is_augmented_and_mixed(
    quick_training: list[str], run: Run, other_teacher: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    answers = OnlineTeachers.answers
    monkeypatch.setattr(OnlineTeachers, "answers", lambda self, x: (seen.append(x.clone()), answers(self, x))[1])
    teacher = [f"distill.teachers=[{other_teacher.path}]", "distill.online=true", "distill.weight=1.0"]
    changes = ["augment.rotation=20", "augment.mixup_alpha=1.0", "augment.mixup_share=1.0", "epochs=12"]
    taught(quick_training, tmp_path / "s", tmp_path / "a", *teacher, *changes)
    plain = torch.from_numpy(run.dataset.images[run.dataset.splits["train"]]).float() / 255
    nearest = torch.cdist(torch.cat(seen[:4]).flatten(1), plain.flatten(1)).min(1).values
    assert float(nearest.min()) > 0.1
    module = load_module(tmp_path / "a" / "checkpoints" / "last.ckpt")
    # No teacher in the checkpoint, and the network says what the teacher says.
    assert not [name for name in module.state_dict() if "teacher" in name]
    said = module(torch.from_numpy(run.dataset.images)).argmax(1).numpy()
    teachers = Predictor(other_teacher).logits(run.dataset.images)[0].argmax(1)
    assert (said == teachers).mean() > (said == run.dataset.labels).mean() + 0.1


def test_online_teachers_of_another_input_size_are_refused(run: Run, other_teacher: Bundle) -> None:
    spec = other_teacher.spec.input.model_copy(update={"size": 48})
    with pytest.raises(BundleError, match=r"distill\.online=true: other-\w+ takes 1 x 16 x 16 pictures"):
        OnlineTeachers([other_teacher], run.dataset.classes, spec)


@pytest.mark.parametrize("other", [{"views": 8}, {"unseen": True}])
def test_online_goes_without_what_is_asked_beforehand(other: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"distill\.online=true goes without"):
        check_distill({"weight": 0.5, "teachers": [], "views": 1, "unseen": False, "online": True} | other)
