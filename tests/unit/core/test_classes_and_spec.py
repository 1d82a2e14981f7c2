"""Names of classes, the rules of the spec, and what errors say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlopsproject.core.classes import FIVE, KNOWN, SEVEN, canonical_class, resolve_classes
from mlopsproject.core.errors import ConfigError, ImageError, UserError, nearest
from mlopsproject.core.spec import Histogram, InputSpec, ModelSpec, PrecisionSpec


@pytest.mark.parametrize(
    ("found", "expected"),
    [("Suprise", "surprise"), ("ANGER", "angry"), (" happiness ", "happy"), ("Fearful", "fear"), ("cats", None)],
)
def test_folder_names_map_to_classes(found, expected):
    assert canonical_class(found) == expected


def test_a_users_own_class_is_known_when_asked_for():
    assert canonical_class("Bored") is None
    assert canonical_class("Bored", extra=["bored"]) == "bored"


@given(st.sampled_from(KNOWN), st.data())
def test_classes_are_found_in_any_case(name, data):
    written = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in name)
    assert canonical_class(written) == name


def test_presets_and_lists_resolve_in_order():
    assert resolve_classes("five") == FIVE
    assert resolve_classes("seven") == SEVEN
    assert resolve_classes(["Sadness", "happy", "bored"]) == ("sad", "happy", "bored")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("sevn", "did you mean 'seven'"),
        ("qqqq", "Presets: five, seven"),
        (["happy"], "fewer than two"),
        (["happy", "joy"], "one class twice"),
    ],
)
def test_a_wrong_choice_of_classes_says_what_is_wrong(classes, message):
    with pytest.raises(ConfigError, match=message):
        resolve_classes(classes)


def test_an_error_holds_its_message_and_its_fix():
    error = UserError("x is missing.", "Make x.")
    assert (str(error), error.message, error.fix) == ("x is missing. Make x.", "x is missing.", "Make x.")
    assert ImageError("truncated", "cut").reason == "truncated"
    assert nearest("trian", ["train", "test"]) == "did you mean 'train'?"
    assert nearest("xyz", ["train"]) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": ("happy",)},
        {"classes": ("happy", "happy")},
        {"default_precision": "int8"},
        {"schema_version": 2},
        {"unknown": 1},
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes):
    valid = {"classes": FIVE, "input": InputSpec(size=64), "precisions": {"fp32": PrecisionSpec(file="model.onnx")}}
    assert ModelSpec(**valid).classes == FIVE
    with pytest.raises(ValidationError):
        ModelSpec(**valid | changes)


@pytest.mark.parametrize("changes", [{"channels": 3}, {"mean": (0.5, 0.5)}, {"std": (0.0,)}, {"size": 4}])
def test_an_input_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValidationError):
        InputSpec(**{"size": 64} | changes)


def test_a_histogram_has_one_more_edge_than_counts():
    with pytest.raises(ValidationError):
        Histogram(edges=(0, 1), counts=(1, 2))
