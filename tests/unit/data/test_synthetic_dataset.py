"""The writer: class folders in the layout of the real set, complete or absent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.classes import FIVE, SEVEN, canonical_class
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.synthetic import contact_sheet, sample_face, write, write_dataset
from mlopsproject.data.synthetic.__main__ import main
from mlopsproject.data.synthetic.write import class_counts, folder_name


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_is_that_of_the_real_set(tmp_path: Path) -> None:
    counts = write_dataset(tmp_path / "faces", images=12, size=32, progress=False)
    assert sorted(path.name for path in (tmp_path / "faces").iterdir()) == ["Angry", "Fear", "Happy", "Sad", "Suprise"]
    assert sum(counts.values()) == 12
    for name, count in counts.items():
        pictures = sorted((tmp_path / "faces" / folder_name(name)).iterdir())
        assert [path.name for path in pictures] == [f"{name}_{index:05d}.jpg" for index in range(count)]
        assert cv2.imread(str(pictures[0]), cv2.IMREAD_UNCHANGED).shape == (32, 32)


@pytest.mark.parametrize("name", SEVEN)
def test_folder_names_are_understood_by_the_importer(name: str) -> None:
    assert canonical_class(folder_name(name)) == name


def test_equal_seeds_give_equal_files_and_other_seeds_other_files(tmp_path: Path) -> None:
    for folder, seed in (("one", 4), ("two", 4), ("three", 5)):
        write_dataset(tmp_path / folder, images=6, seed=seed, size=24, progress=False)
    one, two, three = (files(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert one.keys() == three.keys()
    assert all(one[name] != three[name] for name in one)


def test_a_face_does_not_depend_on_what_else_is_written(tmp_path: Path) -> None:
    write_dataset(tmp_path / "few", images=7, classes=["happy", "sad"], size=24, progress=False)
    write_dataset(tmp_path / "many", images=20, classes="seven", size=24, progress=False)
    few, many = files(tmp_path / "few"), files(tmp_path / "many")
    shared = few.keys() & many.keys()
    assert len(shared) >= 4
    assert all(few[name] == many[name] for name in shared)


def test_drift_gives_other_faces_with_the_same_names(tmp_path: Path) -> None:
    for folder, drift in (("usual", False), ("drifted", True)):
        write_dataset(tmp_path / folder, images=10, size=32, drift=drift, progress=False)
    usual, drifted = files(tmp_path / "usual"), files(tmp_path / "drifted")
    assert usual.keys() == drifted.keys()
    assert not set(usual.values()) & set(drifted.values())


@given(images=st.integers(7, 5000), classes=st.sets(st.sampled_from(SEVEN), min_size=2), balanced=st.booleans())
def test_counts_add_up_and_no_class_is_empty(images: int, classes: set[str], balanced: bool) -> None:
    counts = class_counts(images, sorted(classes), balanced=balanced)
    assert sum(counts.values()) == images
    assert min(counts.values()) >= 1
    if balanced:
        assert max(counts.values()) - min(counts.values()) <= 1


def test_classes_are_slightly_uneven_unless_asked_to_be_equal() -> None:
    uneven = class_counts(2600, FIVE)
    assert 1.2 < max(uneven.values()) / min(uneven.values()) < 2.0
    assert set(class_counts(2600, FIVE, balanced=True).values()) == {520}


def test_a_folder_with_content_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="is not empty"):
        write_dataset(tmp_path, images=5, size=16, progress=False)
    assert files(tmp_path) == {"mine.txt": b"keep me"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_dataset(tmp_path / "empty", images=5, size=16, progress=False)
    assert len(files(tmp_path / "empty")) == 5


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(emotion: str, index: int, **options: object) -> None:
        raise failure

    monkeypatch.setattr(write, "sample_face", fail)
    with pytest.raises((DataError, KeyboardInterrupt)) as caught:
        write_dataset(tmp_path / "faces", images=5, progress=False)
    if isinstance(failure, OSError):
        assert "No space left on device" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "problem", "error"),
    [
        ({"images": 3}, "fewer than the 5 classes", DataError),
        ({"classes": "six"}, "six", ConfigError),
        ({"classes": ["happy", "bored"]}, "bored", DataError),
        ({"size": 4}, "size=4", DataError),
    ],
)
def test_wrong_options_say_what_is_wrong_and_write_nothing(
    tmp_path: Path, options: dict[str, object], problem: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=problem):
        write_dataset(tmp_path / "faces", **{"images": 10, "progress": False, **options})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_contact_sheet_has_a_labelled_row_per_class() -> None:
    sheet = contact_sheet(("happy", "sad"), columns=3, size=32, zoom=2)
    assert sheet.shape == (128, 110 + 192)
    assert sheet[:64, :110].min() < 128
    assert (sheet[:64:2, 110::2][:, :32] == sample_face("happy", 0, seed=0, size=32)).all()


def test_the_command_writes_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "faces"
    assert main([str(out), "--images", "6", "--size", "24", "--classes", "happy,sad", "--seed", "2", "--drift"]) == 0
    assert len(files(out)) == 6
    assert "6 synthetic faces" in " ".join(capsys.readouterr().err.split())
    assert main([str(out)]) == 1
    assert "is not empty" in " ".join(capsys.readouterr().err.split())


def test_the_command_draws_a_contact_sheet(tmp_path: Path) -> None:
    out = tmp_path / "images" / "sheet.png"
    assert main([str(out), "--sheet", "--size", "24", "--classes", "seven"]) == 0
    assert np.asarray(cv2.imread(str(out))).shape[0] == 7 * 48
