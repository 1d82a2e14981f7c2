"""Other packages are asked about the same faces; one that does not answer says why, and no figure is made up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlopsproject.config import load_config, values
from mlopsproject.core.classes import FIVE, SEVEN
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.importer import import_dataset
from mlopsproject.evaluation import peer_process, peers
from mlopsproject.evaluation.peers import Faces, benchmark_peers

PER_CLASS = 4
#: A package whose network reads its answer off the first pixel; it takes `fear` for `surprise`.
FER = """
import numpy

class FER:
    def __init__(self, offsets):
        assert offsets == (0, 0)

    def _get_labels(self):
        return dict(enumerate(["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]))

    def detect_emotions(self, picture, face_rectangles):
        height, width, channels = picture.shape
        assert channels == 3 and face_rectangles == [(0, 0, width, height)]
        read = picture[0, 0, 0] // 30
        chosen = 5 if read == 2 else read
        return [{"emotions": {name: float(number == chosen) for number, name in self._get_labels().items()}}]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose pictures say their class in the first pixel."""
    folder, rng = tmp_path_factory.mktemp("peers"), np.random.default_rng(0)
    for part in ("train", "test"):
        for number, name in enumerate(SEVEN):
            for index in range(PER_CLASS):
                pixels = rng.integers(0, 256, (20, 24), dtype=np.uint8)
                pixels[0, 0] = 30 * number
                file = folder / "source" / part / name / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    import_dataset(folder / "source", "faces", root=folder, split="official", workers=1, progress=False)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Makes what passes for the Python of an environment with a package `fer` of the given code."""

    def make(code: str) -> dict[str, Any]:
        package = tmp_path / "site/fer"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "fer.py").write_text(code)
        distribution(tmp_path / "site", "fer", version="1.2.3")
        python = tmp_path / "python"
        # Without -I, which would keep the folder off the path.
        python.write_text(f'#!/bin/sh\nshift\nPYTHONPATH={tmp_path}/site exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        return {"needs": [], "python": str(python)}

    return make


def distribution(site: Path, name: str, *needs: str, version: str = "1", size: int = 0) -> None:
    """Write what an installed package leaves for others to find."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (site / f"{name}.bin").write_bytes(bytes(size))
    required = "".join(f"Requires-Dist: {need}\n" for need in needs)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}")
    (folder / "RECORD").write_text(f"{name}.bin,,\n")


def measure(root: Path, fer: dict[str, Any], **changed: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "data": "faces",
        "root": str(root),
        "split": "test",
        "labels": "given",
        "bundles": [],
        "store": "models",
        "precision": "int8",
        "sides": ["fer"],
        "rounds": 2,
        "timed": 5,
        "timeout": 60.0,
        "fer": fer,
    }
    return benchmark_peers(**settings | changed)


def test_a_package_is_scored_on_the_pixels_that_were_imported(root: Path, environment: Callable[..., Any]) -> None:
    figures = measure(root, environment(FER))
    found = figures["fer 1.2.3"]
    assert figures["images"] == PER_CLASS * len(SEVEN)
    assert found["accuracy, seven classes, %"] == pytest.approx(100 * 6 / 7)
    assert found["accuracy, five classes, %"] == pytest.approx(80)
    assert found["five classes, 95 % interval from"] < 80 < found["five classes, to"]
    assert found["one face, one core, ms"] > 0
    assert 0 < found["import, s"] < found["import to first answer, s"]
    assert found["packages"] == 1
    assert "not measured" not in found


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise OSError('no weights\\nsecond line')", "OSError: no weights"),
        (
            "import os, sys\nprint('a dead interpreter', file=sys.stderr)\nos._exit(3)",
            "exit code 3: a dead interpreter",
        ),
        ("import time\ntime.sleep(60)", "no answer within 3 s"),
    ],
)
def test_a_package_that_does_not_answer_is_reported_with_its_reason(
    root: Path, environment: Callable[..., Any], code: str, reason: str
) -> None:
    figures = measure(root, environment(code), timeout=3.0)
    (found,) = [value for value in figures.values() if isinstance(value, dict)]
    assert found["not measured"] == reason
    assert not any("accuracy" in name or "ms" in name for name in found)


def test_a_package_that_cannot_load_still_has_its_size(root: Path, environment: Callable[..., Any]) -> None:
    found = measure(root, environment("raise OSError('no weights')"))["fer 1.2.3"]
    assert found == {"not measured": "OSError: no weights", "packages": 1, "on disk, MB": 0}


def test_a_python_that_is_not_there_is_reported(root: Path, tmp_path: Path) -> None:
    found = measure(root, {"needs": [], "python": str(tmp_path / "nothing")})["fer"]
    assert found["not measured"] == f"{tmp_path}/nothing cannot be run (No such file or directory)"


def test_a_bundle_is_asked_in_the_same_way(root: Path) -> None:
    found = measure(root, {}, bundles=["production", "seven"], sides=[], rounds=1)
    assert {"accuracy, five classes, %", "one face, one core, ms", "packages"} <= set(found["production int8"])
    assert "accuracy, seven classes, %" not in found["production int8"]
    assert "accuracy, seven classes, %" in found["seven int8"]


def test_each_package_is_installed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    command = peers._python({"needs": ["one==1", "two<3"], "python": None})
    assert command[:4] == ["/bin/uv", "run", "--isolated", "--no-project"]
    assert command[-7:] == ["--with", "one==1", "--with", "two<3", "--with", "packaging", "python"]
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="`uv` is not on the PATH"):
        peers._python({"needs": [], "python": None})


def test_classes_go_by_their_usual_spellings_and_others_are_masked() -> None:
    names = ["Contempt", "Anger", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise"]
    rows = [[0.9, 0.1 if name == "Anger" else 0.0, *([0.0] * 6)] for name in ("Anger", "Sadness")]
    turn = {"classes": names, "probabilities": rows}
    faces = Faces(np.array([0, 4]), np.zeros(2, bool))
    assert peers._accuracy(turn, faces, SEVEN, "seven")["accuracy, seven, %"] == 50
    assert peers._accuracy({**turn, "classes": ["x", *names[1:-1], "y"]}, faces, SEVEN, "seven") == {}


def test_figures_without_twins_leave_out_what_the_package_may_have_trained_on() -> None:
    rows = np.eye(5)[[0, 1, 2, 0]].tolist()
    turn = {"classes": list(FIVE), "probabilities": rows}
    labels = np.array([SEVEN.index(FIVE[number]) for number in (0, 1, 2, 3)])
    found = peers._accuracy(turn, Faces(labels, np.array([True, False, False, False])), FIVE, "five")
    assert found["accuracy, five, %"] == 75
    assert found["five, without twins, %"] == pytest.approx(100 * 2 / 3)
    assert peers._accuracy(turn, Faces(labels, np.ones(4, bool)), FIVE, "five")["five, without twins, %"] is None


def test_twins_in_the_sources_training_part_are_known(root: Path, tmp_path: Path) -> None:
    assert not peers._save_faces(root / "faces", "test", tmp_path / "a.npz").trained.any()
    source = tmp_path / "source"
    for part in ("train", "test"):
        for name, seed in (("happy", 1), ("sad", 2)):
            file = source / part / name / "same.png"
            file.parent.mkdir(parents=True)
            pixels = np.random.default_rng(seed + 10 * (part == "test" and name == "sad")).integers(0, 256, (20, 24))
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    import_dataset(source, "twins", root=tmp_path, split="official", workers=1, progress=False)
    faces = peers._save_faces(tmp_path / "twins", "test", tmp_path / "b.npz")
    assert dict(zip(faces.labels.tolist(), faces.trained.tolist(), strict=True)) == {3: True, 4: False}


def test_of_several_turns_the_fastest_counts_and_the_first_has_the_answers() -> None:
    first = {"ms": 3.0, "import_s": 1.0, "ready_s": 2.0, "memory_mb": 9.0, "probabilities": [[1.0]]}
    second = {"ms": 2.0, "import_s": 5.0, "ready_s": 6.0, "memory_mb": 8.0, "probabilities": []}
    best = peers._best(peers._best(None, first), second)
    assert best == {"ms": 2.0, "import_s": 1.0, "ready_s": 2.0, "memory_mb": 8.0, "probabilities": [[1.0]]}


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("sides", ["fre"], "did you mean 'fer'"),
        ("split", "tests", "did you mean 'test'"),
        ("precision", "fp16", "Known: fp32, int8"),
        ("rounds", 0, "at least 1"),
        ("timed", 0, "at least 1"),
        ("timeout", 0, "above 0"),
    ],
)
def test_an_impossible_value_names_its_key(root: Path, key: str, value: object, fix: str) -> None:
    with pytest.raises(ConfigError, match=rf"^peers\.{key}=.*{fix}"):
        measure(root, {}, **{key: value})


def test_a_split_without_pictures_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"peers\.split=holdout: .* has no such pictures"):
        peers._save_faces(root / "faces", "holdout", tmp_path / "faces.npz")


def test_every_package_has_its_keys_in_the_config() -> None:
    settings = values(load_config("benchmark"))["peers"]
    assert set(settings["sides"]) == set(peers.PEERS)
    for name in peers.PEERS:
        needs = settings[name]["needs"]
        assert needs[0].startswith(f"{peer_process.SIDES[name][0]}=="), "versions are pinned: figures name them"
        assert settings[name]["python"] is None


def test_a_package_counts_with_all_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    distribution(
        tmp_path, "peer-a", "peer_b[fast]>=1", 'peer-x; extra == "slow"', 'peer-y; python_version < "3"', size=9
    )
    distribution(tmp_path, "peer-b", 'peer-c; extra == "fast"', 'peer-x; extra == "slow"', "peer-a", size=1_000_000)
    distribution(tmp_path, "peer-c", size=500_000)
    distribution(tmp_path, "peer-x", size=5_000_000)
    assert peer_process.installed("peer-a") == {"packages": 3, "megabytes": 1.500009}


#: Of each package the modules that are imported, as far as they are used.
MODULES: dict[str, dict[str, Any]] = {
    "deepface": {
        "deepface.DeepFace": SimpleNamespace(
            analyze=lambda picture, **_: [{"emotion": {"sad": float(picture[0, 0, 2]), "happy": 0.0}}]
        ),
        "deepface.models.demography.DemographyUtils": SimpleNamespace(EMOTION_LABELS=["happy", "sad"]),
    },
    "emotiefflib": {
        "emotiefflib.facial_analysis": SimpleNamespace(
            EmotiEffLibRecognizer=lambda **_: SimpleNamespace(
                idx_to_emotion_class={0: "happy", 1: "sad"},
                predict_emotions=lambda picture, logits: (["sad"], np.array([[0.0, picture[0, 0, 0]]])),
            )
        )
    },
    "hsemotion_onnx": {
        "hsemotion_onnx.facial_emotions": SimpleNamespace(
            HSEmotionRecognizer=lambda: SimpleNamespace(
                idx_to_class={0: "happy", 1: "sad"},
                predict_emotions=lambda picture, logits: ("sad", np.array([0.0, picture[0, 0, 0]])),
            )
        )
    },
    "rmn": {
        "rmn": SimpleNamespace(
            FER_2013_EMO_DICT={0: "happy", 1: "sad"},
            ensure_gray=lambda picture: picture[..., 2],
            RMN=lambda face_detector: SimpleNamespace(
                detect_emotion_for_single_face_image=lambda picture: (
                    "sad",
                    1.0,
                    [{"happy": 0.0}, {"sad": float(picture[0, 0])}],
                )
            ),
        )
    },
}


@pytest.mark.parametrize("side", MODULES)
def test_a_package_gets_the_channels_in_its_order_and_its_answer_in_ours(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_process, "import_module", {**MODULES[side], "numpy": np}.__getitem__)
    classes, answer = peer_process.SIDES[side][2]()
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 0] = 77  # red
    assert classes == ["happy", "sad"]
    assert list(answer(pixels)) == [0.0, 77.0]
