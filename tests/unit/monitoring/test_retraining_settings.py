"""What a retraining trains with, and by which labels it compares."""

from __future__ import annotations

import pytest

from mlopsproject.config import load_config, values
from mlopsproject.core.spec import InputSpec, ModelSpec, PrecisionSpec
from mlopsproject.monitoring.retraining_settings import recipe, truth


def trained_by(command: str) -> ModelSpec:
    return ModelSpec(
        classes=("happy", "sad"),
        input=InputSpec(size=8),
        precisions={"fp32": PrecisionSpec(file="model.onnx")},
        training={"command": command},
    )


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("uv run invoke train -o experiment=sample", ["experiment=sample"]),
        ("uv run invoke train -o experiment=fer2013_fine_five_all", ["experiment=fer2013_five"]),
        # New faces have a label and no votes; they count as unanimous.
        (
            "uv run invoke train -o experiment=ferplus_five -o seed=1",
            ["experiment=ferplus_five", "data.without_votes=given"],
        ),
    ],
)
def test_a_candidate_is_trained_as_production_was(command: str, wanted: list[str]) -> None:
    settings = values(load_config("retrain", ["new_data=mine"]))
    assert [text for text in recipe(settings, trained_by(command)) if text.startswith(("exp", "data"))] == wanted


def test_models_are_compared_by_the_labels_that_the_candidate_is_trained_on() -> None:
    assert truth(["experiment=sample"])["labels"] == "given"
    found = truth(["experiment=ferplus_five", "data.without_votes=given"])
    assert (found["labels"], found["without_votes"], found["min_votes"]) == ("majority", "given", 2)
