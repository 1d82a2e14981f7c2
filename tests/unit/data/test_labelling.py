from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.labelling import Labels, label_path, read_labels


@pytest.mark.parametrize(
    ("path", "label", "split"),
    [
        ("happy/1.jpg", "happy", ""),
        ("Suprise/1.jpg", "surprise", ""),
        ("train/angry/1.jpg", "angry", "train"),
        ("angry/train/1.jpg", "angry", "train"),
        ("archive/Data/valid/Sadness/1.jpg", "sad", "validation"),
        ("images/validation/fear/1.jpg", "fear", "validation"),
        ("val/NEUTRAL/1.jpg", "neutral", "validation"),
        ("Training/disgust/1.jpg", "disgust", "train"),
        ("PublicTest/happy/1.jpg", "happy", "validation"),
        ("PrivateTest/happy/1.jpg", "happy", "test"),
        ("test/happy/person01/1.jpg", "happy", "test"),
        ("happy/notes.txt", "happy", ""),
    ],
)
def test_class_and_split_folders_are_found_at_any_depth(path: str, label: str, split: str) -> None:
    assert label_path(path)[:3] == (label, split, "")


@pytest.mark.parametrize(
    "path", [".DS_Store", "happy/.DS_Store", "happy/Thumbs.db", "__MACOSX/happy/1.jpg", ".git/happy/1.jpg"]
)
def test_hidden_and_system_files_are_left_out(path: str) -> None:
    assert label_path(path).reason == "hidden_or_system"


@pytest.mark.parametrize("path", ["README.md", "stray.jpg", "docs/licence.txt", "train/stray.jpg"])
def test_files_outside_class_folders_are_left_out(path: str) -> None:
    assert label_path(path).reason == "no_class_folder"


def test_unknown_class_folder_names_itself_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(DataError, match=r"'hapy' .*train/hapy/1.jpg.*did you mean 'happy'.*angry, disgust"):
        label_path("train/hapy/1.jpg")


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("0_angry", "angry"),
        ("1-fear", "fear"),
        ("02 happy", "happy"),
        ("3. Suprise", "surprise"),
        ("6 - neutral", "neutral"),
        ("0_happy", "happy"),
        ("train/04_Sadness", "sad"),
    ],
)
def test_a_number_before_a_class_is_ignored_whatever_it_is(folder: str, label: str) -> None:
    assert label_path(f"{folder}/1.jpg").label == label


@pytest.mark.parametrize("folder", ["0_angri", "3", "3_", "3.5", "happy_3", "2_0", "0happy", "images_1"])
def test_a_number_alone_or_elsewhere_names_no_class(folder: str) -> None:
    with pytest.raises(DataError, match=f"Unknown class '{folder}'.*label_map"):
        label_path(f"{folder}/1.jpg")


def test_the_nearest_class_is_found_behind_a_number() -> None:
    with pytest.raises(DataError, match=r"'0_angri'.*did you mean 'angry'"):
        label_path("0_angri/1.jpg")


def test_a_class_of_ones_own_may_begin_with_a_number() -> None:
    labels = read_labels(["happy", "2_happy"])
    assert [label_path(f"{folder}/1.jpg", labels).label for folder in ("2 Happy", "3_happy")] == ["2_happy", "happy"]


def test_a_label_map_renames_and_leaves_out() -> None:
    labels = read_labels(
        "seven", {"Smirk": "Happiness", "contempt": None, 7: "sad", "happy": "surprise", "smile": "happy"}
    )
    assert label_path("train/SMIRK/1.jpg", labels)[:2] == ("happy", "train")
    assert label_path("7/1.jpg", labels).label == "sad"
    assert label_path("05_smirk/1.jpg", labels).label == "happy"
    assert label_path("0_joy/1.jpg", labels).label == "surprise", "a class stands for its spellings"
    assert label_path("smile/1.jpg", labels).label == "happy", "unless one is named itself"
    dropped = label_path("test/Contemptuous/1.jpg", labels)
    assert (dropped.label, dropped.reason, dropped.detail) == (
        "",
        "dropped_label",
        "label_map leaves 'Contemptuous' out",
    )
    assert label_path("angry/1.jpg", labels).label == "angry"


def test_a_label_map_may_be_yaml_for_names_that_an_override_cannot_hold() -> None:
    labels = read_labels("seven", "{怒り: angry, 'a, b': null}")
    assert label_path("怒り/1.jpg", labels).label == "angry"
    assert label_path("A, b/1.jpg", labels).reason == "dropped_label"


def test_a_label_may_become_a_class_of_ones_own() -> None:
    labels = read_labels(["happy", "bored"], {"yawning": "Bored"})
    assert label_path("yawning/1.jpg", labels).label == "bored"


@pytest.mark.parametrize(
    ("label_map", "said"),
    [
        ({"smirk": "hapy"}, "reads 'smirk' as 'hapy', which is not one of .*did you mean 'happy'"),
        ({"smirk": "contempt"}, "'contempt', which is not one of .*'neutral'.*Name it there"),
        ({"smirk": "drop"}, "'drop', which is not one of .*null to leave those pictures out"),
        ({"smirk": ["happy"]}, "which is not one of"),
        ({"smirk": "happy", "Smirk": "sad"}, "names 'smirk' twice"),
        ("smirk", "label_map='smirk' is not possible.*smirk: happy"),
        ("{smirk", "label_map='{smirk' is not possible"),
        (["smirk"], "is not possible"),
        (3, "label_map=3 is not possible"),
    ],
)
def test_a_label_map_that_makes_no_sense_is_refused(label_map: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_labels("seven", label_map)


def test_own_classes_count_as_known() -> None:
    labels = read_labels(["happy", "Bored"])
    assert labels.own == ("bored",)
    assert label_path("Bored/1.jpg", labels).label == "bored"
    with pytest.raises(DataError, match="bored"):
        label_path("bord/1.jpg", labels)


@pytest.mark.parametrize("written", ["very happy", "Very Happy", "very_happy", " very  happy "])
def test_a_class_of_two_words_is_found_in_every_spelling(written: str) -> None:
    labels = read_labels(["happy", written])
    assert labels.own == resolve_classes(["happy", written])[1:] == ("very_happy",)
    for folder in ("very happy", "VERY HAPPY", "Very_happy"):
        assert label_path(f"train/{folder}/1.jpg", labels).label == "very_happy"
        assert label_path(f"train/{folder}/1.jpg", Labels((written,))).label == "very_happy"


@given(st.text(st.characters(blacklist_characters="/"), min_size=1).filter(lambda name: not name.startswith(".")))
def test_any_file_name_in_a_class_folder_has_that_class(name: str) -> None:
    assert label_path(f"train/happy/{name}").label in ("happy", "")
    assert label_path(f"train/happy/{name}").reason in ("", "hidden_or_system")
