"""LiteRT files: what comes out, when it is refused, that a failure leaves what was there. The converter is a stub."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from mlopsproject.config import load_config
from mlopsproject.core.bundle import Bundle, seal_bundle
from mlopsproject.core.errors import ConfigError, UserError
from mlopsproject.export import run
from mlopsproject.training import litert
from mlopsproject.training.litert import FILES, LitertSettings, export_litert, litert_table

ROOT = Path(__file__).parents[3]
Converter = Callable[[Path, Path, Path], None]


@pytest.fixture(scope="module")
def bundle(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny one that has weights, which nothing here reads."""
    folder = tmp_path_factory.mktemp("models")
    tiny = make_bundle(folder / "bare", size=16)
    staging = Path(shutil.copytree(tiny.path, folder / "staging"))
    (staging / "weights.safetensors").write_bytes(b"weights")
    return seal_bundle(staging, tiny.spec, folder / "store", "tiny")


@pytest.fixture
def settings(bundle: Bundle, tmp_path: Path) -> LitertSettings:
    return LitertSettings(bundle=str(bundle.path), data="drawn", images=None, output=str(tmp_path / "out"))


def converter(
    bundle: Bundle, content: bytes = b"a network", **changes: Callable[[np.ndarray], np.ndarray]
) -> Converter:
    """One whose files answer as the bundle's fp32 does, but for what `changes` do to their logits."""

    def convert(folder: Path, files: Path, messages: Path) -> None:
        with np.load(files / "inputs.npz") as arrays:
            image = arrays["image"]
        (logits,) = ort.InferenceSession(bundle.model_file("fp32")).run(["logits"], {"image": image})
        for name in FILES.values():
            (files / name).write_bytes(content + name.encode())
        np.savez(files / "logits.npz", **{name: changes.get(name, np.asarray)(logits) for name in FILES})

    return convert


def failing(error: BaseException) -> Converter:
    def convert(folder: Path, files: Path, messages: Path) -> None:
        (files / FILES["fp32"]).write_bytes(b"half")
        raise error

    return convert


def export(settings: LitertSettings, root: Path, monkeypatch: pytest.MonkeyPatch, convert: Converter) -> Path:
    monkeypatch.setattr(litert, "run_converter", convert)
    folder, _ = export_litert(settings, "models", str(root), Path(settings.output) / "log")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(item.relative_to(folder)): item.read_bytes() for item in folder.rglob("*") if item.is_file()}


def test_the_document_tells_all_that_the_files_need(
    bundle: Bundle, settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export(settings, drawn_faces, monkeypatch, converter(bundle))
    assert folder == Path(settings.output) / bundle.name
    assert sorted(item.name for item in folder.iterdir()) == ["litert.json", *sorted(FILES.values())]
    document = json.loads((folder / "litert.json").read_text())
    assert document["bundle"] == bundle.name
    assert document["classes"] == list(bundle.spec.classes)
    assert document["input"] == bundle.spec.input.model_dump(mode="json")
    assert document["tensors"]["image"]["shape"] == [1, 1, 16, 16]
    assert document["tensors"]["logits"]["shape"] == [1, 5]
    assert document["compared"] == {"data": "drawn", "split": "test", "images": 40, "with": "the bundle in fp32"}
    for name, entry in document["precisions"].items():
        content = (folder / FILES[name]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["bytes"] == len(content)
        # Of the bundle's fp32 for both, which compute in fp32; its int8 has others.
        assert (entry["temperature"], entry["abstain_threshold"]) == (1.5, 0.3)
        assert (entry["max_difference"], entry["same_class"]) == (0, 1)
    assert litert_table(document).row_count == 2


def test_as_many_pictures_are_asked_about_as_was_said(
    bundle: Bundle, settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export(replace(settings, images=7), drawn_faces, monkeypatch, converter(bundle))
    assert json.loads((folder / "litert.json").read_text())["compared"]["images"] == 7


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    bundle: Bundle, settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"first", b"second"):
        folder = export(settings, drawn_faces, monkeypatch, converter(bundle, content))
    assert (folder / FILES["fp32"]).read_bytes() == b"secondmodel.tflite"
    assert [item.name for item in Path(settings.output).iterdir()] == [bundle.name]
    (folder / "litert.json").unlink()
    with pytest.raises(UserError, match=r"is there already and is no LiteRT export\. Move it"):
        export(settings, drawn_faces, monkeypatch, converter(bundle))
    assert (folder / FILES["int8"]).is_file()


@pytest.mark.parametrize(
    ("precision", "change", "said"),
    [
        ("fp32", lambda logits: logits / 2, r"fp32 up to 0\.\d+ in a probability \(allowed: 0\.001\)"),
        ("fp32", lambda logits: logits * np.float32("nan"), "fp32 up to nan in a probability"),
        ("int8", lambda logits: -logits, r"int8 in 100\.0% of the classes \(allowed: 1%\)"),
    ],
)
def test_files_that_answer_otherwise_are_refused(
    precision: str,
    change: Callable[[np.ndarray], np.ndarray],
    said: str,
    bundle: Bundle,
    settings: LitertSettings,
    drawn_faces: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    earlier = contents(export(settings, drawn_faces, monkeypatch, converter(bundle)).parent)
    with pytest.raises(UserError, match=said) as caught:
        export(settings, drawn_faces, monkeypatch, converter(bundle, b"worse", **{precision: change}))
    assert "\n" not in str(caught.value)
    assert "nothing was written." in str(caught.value)
    assert contents(Path(settings.output)) == earlier


def test_int8_may_differ_in_probabilities_as_long_as_the_classes_are_the_same(
    bundle: Bundle, settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = export(settings, drawn_faces, monkeypatch, converter(bundle, int8=lambda logits: 1.1 * logits))
    entry = json.loads((folder / "litert.json").read_text())["precisions"]["int8"]
    assert entry["max_difference"] > 1e-3
    assert entry["same_class"] == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (UserError("The LiteRT converter failed."), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(143), SystemExit),
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
    ],
)
def test_what_goes_wrong_leaves_nothing_or_the_earlier_export(
    error: BaseException,
    raised: type[BaseException],
    bundle: Bundle,
    settings: LitertSettings,
    drawn_faces: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(raised):
        export(settings, drawn_faces, monkeypatch, failing(error))
    assert list(Path(settings.output).iterdir()) == []
    earlier = contents(export(settings, drawn_faces, monkeypatch, converter(bundle)).parent)
    with pytest.raises(raised):
        export(settings, drawn_faces, monkeypatch, failing(error))
    assert contents(Path(settings.output)) == earlier


def test_a_bundle_without_weights_is_refused(
    tiny_bundle: Bundle, settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"has no weights\.safetensors"):
        export(replace(settings, bundle=str(tiny_bundle.path)), drawn_faces, monkeypatch, failing(AssertionError()))


def test_a_data_set_that_is_not_there_is_named(
    settings: LitertSettings, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="No data set 'drwan'"):
        export(replace(settings, data="drwan"), drawn_faces, monkeypatch, failing(AssertionError()))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["format=liter"], r"format='liter' is unknown; did you mean 'litert'\? Known: bundle, litert\."),
        (["format=litert", "litert.images=0"], r"litert\.images=0 is not possible\."),
        (["format=litert", "litert.bundle=''"], r"litert\.bundle='' is not possible\."),
        (["format=litert", "litert.dat=mine"], r"did you mean 'litert\.data'\?"),
    ],
)
def test_what_no_export_can_be_is_refused(
    overrides: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mlopsproject.export.output_folder", lambda: tmp_path)
    with pytest.raises(ConfigError, match=said):
        run(load_config("export", overrides))


def test_the_converter_shares_pytorch_with_the_project() -> None:
    """Else its first use downloads gigabytes; lock it again as its first lines say."""
    locks = [ROOT / "uv.lock", ROOT / "src/mlopsproject/training/litert_converter.py.lock"]
    ours, theirs = (tomllib.loads(lock.read_text(encoding="utf-8"))["package"] for lock in locks)
    torch = [{package["version"] for package in packages if package["name"] == "torch"} for packages in (ours, theirs)]
    assert torch[0] == torch[1]
