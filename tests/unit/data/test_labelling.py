from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.labelling import ClassNames, class_names, label_path, own_classes


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


def test_own_classes_count_as_known() -> None:
    own = own_classes(["happy", "Bored"])
    assert own == ("bored",)
    assert label_path("Bored/1.jpg", ClassNames(own)).label == "bored"
    with pytest.raises(DataError, match="bored"):
        label_path("bord/1.jpg", ClassNames(own))


@pytest.mark.parametrize("written", ["very happy", "Very Happy", "very_happy", " very  happy "])
def test_a_class_of_two_words_is_found_in_every_spelling(written: str) -> None:
    own = own_classes(["happy", written])
    assert own == resolve_classes(["happy", written])[1:] == ("very_happy",)
    for folder in ("very happy", "VERY HAPPY", "Very_happy"):
        assert label_path(f"train/{folder}/1.jpg", ClassNames(own)).label == "very_happy"
        assert label_path(f"train/{folder}/1.jpg", ClassNames((written,))).label == "very_happy"


@pytest.mark.parametrize("folder", ["0_angry", "1-angry", "02 Angry", "3.anger", "train/0 - angry", "12__ANGRY"])
def test_numbers_that_order_folders_are_no_part_of_the_class(folder: str) -> None:
    assert label_path(f"{folder}/1.jpg").label == "angry"


@pytest.mark.parametrize("folder", ["0_bored", "0", "7", "0angry", "v1_angry"])
def test_a_number_makes_no_class_of_what_is_none(folder: str) -> None:
    with pytest.raises(DataError, match=rf"'{folder}'"):
        label_path(f"{folder}/1.jpg")


def test_a_class_of_ones_own_may_begin_with_a_number() -> None:
    names = class_names(["1_star", "5_star"])
    assert label_path("1_star/1.jpg", names).label == "1_star"
    assert label_path("0_5_star/1.jpg", names).label == "5_star"


def test_a_label_map_renames_and_leaves_out() -> None:
    names = class_names("seven", {"Smirk": "happiness", "contempt": None})
    assert label_path("train/smirk/1.jpg", names) == ("happy", "train", "", "", "smirk")
    left_out = label_path("0_Contemptuous/1.jpg", names)
    assert (left_out.label, left_out.reason, left_out.mapped) == ("", "label_map", "contempt")
    assert label_path("sad/1.jpg", names).mapped == ""
    assert label_path("3-smirk/1.jpg", names)[:1] == ("happy",)


@pytest.mark.parametrize(
    ("label_map", "said"),
    [({"smirk": "hapy"}, "did you mean 'happy'"), ("smirk", "label_map='smirk'"), ({"a": 3}, "Known")],
)
def test_a_label_map_names_classes(label_map: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        class_names("seven", label_map)  # type: ignore[arg-type]


@given(st.text(st.characters(blacklist_characters="/"), min_size=1).filter(lambda name: not name.startswith(".")))
def test_any_file_name_in_a_class_folder_has_that_class(name: str) -> None:
    assert label_path(f"train/happy/{name}").label in ("happy", "")
    assert label_path(f"train/happy/{name}").reason in ("", "hidden_or_system")
