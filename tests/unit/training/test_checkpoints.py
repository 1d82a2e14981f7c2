"""Finding and loading checkpoints, and starting from a bundle."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlopsproject.core.bundle import Bundle, open_bundle, seal_bundle
from mlopsproject.core.classes import FIVE
from mlopsproject.core.errors import BundleError
from mlopsproject.core.spec import InputSpec, ModelSpec, PrecisionSpec
from mlopsproject.training.checkpoints import find_checkpoint, load_module, read_checkpoint, start_from_bundle
from mlopsproject.training.export import save_weights
from mlopsproject.training.module import ExpressionModule

MakeModule = Callable[..., ExpressionModule]


def save(module: ExpressionModule, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}, path)
    return path


@pytest.fixture
def checkpoint(make_module: MakeModule, tmp_path: Path) -> Path:
    return save(make_module(), tmp_path / "checkpoints" / "last.ckpt")


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_checkpoint_rebuilds_its_module_ready_to_evaluate(make_module: MakeModule, checkpoint: Path) -> None:
    module = load_module(checkpoint)
    assert not module.training
    assert same_weights(module, make_module())
    assert not same_weights(module, make_module(seed=1))


def test_a_checkpoint_holds_only_what_loads_without_running_code(checkpoint: Path) -> None:
    assert set(torch.load(checkpoint, weights_only=True)) == {"state_dict", "hyper_parameters"}


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, "evil.ckpt")
    with pytest.raises(BundleError, match=r"evil\.ckpt is damaged or not a checkpoint"):
        read_checkpoint(Path("evil.ckpt"))
    assert not Path("pwned").exists()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:8] = b"\0" * 8
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _flip,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no checkpoint"),
        lambda path: path.write_bytes(pickle.dumps({"state_dict": {}}, protocol=2)),
        lambda path: torch.save({"state_dict": {}}, path),
        lambda path: torch.save(torch.zeros(3), path),
    ],
)
def test_a_damaged_or_foreign_file_is_named(checkpoint: Path, damage: Callable[[Path], object]) -> None:
    damage(checkpoint)
    with pytest.raises(BundleError, match=r"last\.ckpt is damaged or not a checkpoint"):
        load_module(checkpoint)


def test_weights_that_do_not_fit_their_network_are_refused(make_module: MakeModule, tmp_path: Path) -> None:
    module = make_module()
    path = save(module, tmp_path / "odd.ckpt")
    content = torch.load(path, weights_only=True)
    content["state_dict"].pop("network.head.bias")
    torch.save(content, path)
    with pytest.raises(BundleError, match="does not fit the network it names"):
        load_module(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": {"_target_": "mlopsproject.training.networks.SEConvNet", "widths": [8]}}, r"model\._target_="),
        ({"classes": ("happy", "sad")}, "classes="),
        ({"size": 32}, r"data\.size=16, not 32"),
        ({"lr": 0.7}, "lr=.*, not 0.7"),
        ({"augment": {"flip": 0.2}}, r"augment\.flip=0\.5, not 0\.2"),
        ({"augment": {"flip": 0.5, "rotation": 9}}, r"augment\.rotation=None, not 9"),
    ],
)
def test_a_checkpoint_of_another_architecture_optimiser_or_augmentation_is_refused(
    make_module: MakeModule, checkpoint: Path, changes: dict[str, object], named: str
) -> None:
    with pytest.raises(BundleError, match=f"was trained with {named}"):
        load_module(checkpoint, like=make_module(**changes))


DATA = {"name": "mine", "fingerprint": "a", "drop_twins": True, "leave_out": None, "balance": "none", "per_class": None}
RECORD = {"batch_size": 8, "callbacks.ema": 0.9}


@pytest.fixture
def recorded(make_module: MakeModule, tmp_path: Path) -> Path:
    """A checkpoint that tells what it was trained on, and how."""
    return save(make_module(data=DATA, record=RECORD), tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("data", "record", "said"),
    [
        ({"name": "yours", "fingerprint": "b"}, {}, r"trained with data\.name=mine, not yours\."),
        ({"fingerprint": "b"}, {}, r"trained on other images of data set 'mine'.*Import that data again"),
        ({"drop_twins": False}, {}, r"data\.drop_twins=True, not False"),
        ({"balance": "weighted"}, {}, r"data\.balance=none, not weighted"),
        ({"per_class": 5}, {}, r"data\.per_class=None, not 5"),
        ({}, {"batch_size": 16}, r"trained with batch_size=8, not 16"),
        ({}, {"callbacks.ema": None}, r"trained with callbacks\.ema=0\.9, not None"),
    ],
)
def test_a_checkpoint_of_other_data_or_another_way_of_training_is_refused(
    make_module: MakeModule, recorded: Path, data: dict[str, object], record: dict[str, object], said: str
) -> None:
    with pytest.raises(BundleError, match=said):
        load_module(recorded, like=make_module(data=DATA | data, record=RECORD | record))


def test_another_random_seed_is_refused(make_module: MakeModule, recorded: Path) -> None:
    other = make_module(data=DATA, record=RECORD)
    other.hparams["seed"] = 3
    with pytest.raises(BundleError, match=r"trained with seed=0, not 3\."):
        load_module(recorded, like=other)


def test_a_run_may_be_extended(make_module: MakeModule, recorded: Path) -> None:
    assert load_module(recorded, like=make_module(data=DATA, record=RECORD, epochs=9))


def test_what_an_older_checkpoint_does_not_tell_is_not_compared(make_module: MakeModule, tmp_path: Path) -> None:
    path = save(make_module(data={"name": "mine", "fingerprint": "a"}), tmp_path / "old.ckpt")
    content = torch.load(path, weights_only=True)
    del content["hyper_parameters"]["record"]
    torch.save(content, path)
    assert load_module(path, like=make_module(data=DATA, record=RECORD))


# ---- resume=


def test_resume_takes_a_file_or_a_runs_folder(checkpoint: Path, tmp_path: Path) -> None:
    assert find_checkpoint(str(checkpoint), tmp_path) == checkpoint
    assert find_checkpoint(str(tmp_path), tmp_path) == checkpoint


def test_resume_latest_takes_the_newest_run_that_has_a_checkpoint(make_module: MakeModule, tmp_path: Path) -> None:
    for age, name in ((300, "old"), (100, "new"), (200, "middle")):
        path = save(make_module(), tmp_path / name / "checkpoints" / "last.ckpt")
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "newest-without-one").mkdir()
    assert find_checkpoint("latest", tmp_path).parts[-3] == "new"


def test_latest_means_the_same_place_for_every_job(
    make_module: MakeModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("last.ckpt", "best.ckpt"):
        save(make_module(), tmp_path / "runs" / "train" / "one" / "checkpoints" / file)
        assert find_checkpoint("latest", file=file) == Path("runs/train/one/checkpoints") / file


@pytest.mark.parametrize("resume", ["latest", "nowhere.ckpt", "."])
def test_resume_without_a_checkpoint_says_where_it_looked(
    tmp_path: Path, resume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=f"resume={resume}".replace(".", r"\.")):
        find_checkpoint(resume, tmp_path)


# ---- model.init_from=


@pytest.fixture
def trained_bundle(make_module: MakeModule, make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """A bundle with the weights of ``make_module(seed=7)``; its ONNX file plays no part."""
    staging = tmp_path / "staging"
    staging.mkdir()
    save_weights(make_module(seed=7).network, staging / "weights.safetensors")
    (staging / "model.onnx").write_bytes(b"not needed")
    spec = ModelSpec(classes=FIVE, input=InputSpec(size=16), precisions={"fp32": PrecisionSpec(file="model.onnx")})
    return seal_bundle(staging, spec, tmp_path / "store", "start").path


def start(module: ExpressionModule, bundle: Path, spec: InputSpec | None = None) -> None:
    start_from_bundle(module, open_bundle(bundle), spec or InputSpec(size=16))


def test_a_bundles_weights_fill_the_network(make_module: MakeModule, trained_bundle: Path) -> None:
    module = make_module()
    start(module, trained_bundle)
    assert same_weights(module, make_module(seed=7))


@pytest.mark.parametrize("classes", [("happy", "sad"), FIVE[::-1], ("bored", *FIVE, "tired")])
def test_classes_that_the_bundle_knows_keep_their_rows_of_the_head_and_others_begin_new(
    make_module: MakeModule, trained_bundle: Path, classes: tuple[str, ...]
) -> None:
    module, donor, new = make_module(classes=classes), make_module(seed=7), make_module(classes=classes)
    start(module, trained_bundle)
    assert same_weights(module.network.blocks, donor.network.blocks)  # type: ignore[arg-type]
    for row, name in enumerate(classes):
        giver, line = (donor, FIVE.index(name)) if name in FIVE else (new, row)
        assert torch.equal(module.network.head.weight[row], giver.network.head.weight[line])
        assert torch.equal(module.network.head.bias[row], giver.network.head.bias[line])


def test_a_bundle_of_another_architecture_is_refused(make_module: MakeModule, trained_bundle: Path) -> None:
    other = {"_target_": "mlopsproject.training.networks.ReferenceCNN", "filters": [2, 6], "hidden": 8}
    with pytest.raises(BundleError, match=r"model\.init_from: start-.* holds another architecture"):
        start(make_module(model=other), trained_bundle)


def test_a_bundle_of_other_channels_names_the_setting(make_module: MakeModule, trained_bundle: Path) -> None:
    colour = InputSpec(size=16, channels=3, mean=(0.5,) * 3, std=(0.25,) * 3)
    with pytest.raises(BundleError, match=r"Use data\.channels=1"):
        start(make_module(), trained_bundle, colour)
