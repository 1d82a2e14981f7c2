"""The model card says what the spec and the metrics say, and nothing is left blank."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlopsproject.core.errors import BundleError
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.model_card import empty_sections, write_model_card


@pytest.fixture
def metrics(predictor, faces, tmp_path: Path) -> dict:
    return evaluate_bundle(predictor, faces, "test", tmp_path, bootstrap_samples=20, plots=False, progress=False)


def card(predictor, metrics: dict, tmp_path: Path, **options) -> str:
    return write_model_card(predictor.spec, metrics, tmp_path / "card" / "MODEL_CARD.md", **options).read_text("utf-8")


def test_has_every_section(predictor, metrics, tmp_path: Path) -> None:
    text = card(predictor, metrics, tmp_path)
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "Model details",
        "Intended use",
        "Out of scope",
        "Training data",
        "Evaluation data and protocol",
        "Metrics",
        "Per class",
        "Calibration and abstention",
        "Limitations and bias",
        "Licence",
        "How to reproduce",
    ]


def test_names_apparent_expression_and_the_prohibition(predictor, metrics, tmp_path: Path) -> None:
    text = card(predictor, metrics, tmp_path)
    assert "apparent expression, not felt emotion" in text
    assert "Art. 5(1)(f)" in text


def test_gives_figures_with_intervals_with_and_without_twins(predictor, metrics, tmp_path: Path) -> None:
    text = card(predictor, metrics, tmp_path)
    rows = [line for line in text.splitlines() if line.startswith(("| all", "| without"))]
    assert [row.split("|")[2].strip() for row in rows] == ["6", "5", "4", "6"]
    assert rows[3].startswith("| all, with flip test-time augmentation |")
    assert "66.7% (" in rows[0]
    assert "1 of the images have exact twins among the training images, 2 exact or near" in text


def test_tables_are_not_interrupted_by_blank_lines(predictor, metrics, tmp_path: Path) -> None:
    lines = card(predictor, metrics, tmp_path).splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        assert not (before.startswith("|") and line == "" and after.startswith("|"))


def test_shows_the_commands_that_reproduce_it(predictor, metrics, tmp_path: Path) -> None:
    record = {"import_command": "uv run invoke import-data -o name=faces", "command": "uv run invoke train"}
    predictor.spec = predictor.spec.model_copy(update={"training": record})
    measure = "uv run invoke evaluate -o bundle=BUNDLE -o data.name=faces"
    assert "```bash\n" + "\n".join([*record.values(), measure]) + "\n```" in card(predictor, metrics, tmp_path)


def test_figures_by_raters_name_them_and_the_rule(predictor, metrics, tmp_path: Path) -> None:
    predictor.spec = predictor.spec.model_copy(update={"training": {"command": "uv run invoke train"}})
    metrics["data"] |= {"labels": "votes", "min_votes": 1}
    metrics["other_classes"] = {
        "images": 3,
        "uncertain": 1 / 3,
        "per_class": {"neutral": {"images": 3, "uncertain": 1 / 3}},
    }
    text = card(predictor, metrics, tmp_path)
    assert "-o data.name=faces -o data.labels=majority -o data.min_votes=1\n" in text
    assert "with what most raters said as labels" in text
    assert "| neutral | 3 | 33.3% |" in text
    assert "one annotator's impression" not in text


def test_says_when_twins_are_unknown(predictor, metrics, tmp_path: Path) -> None:
    metrics |= {"twins": None, "without_twins": None, "without_exact_twins": None}
    assert "Twins of training images were not looked for" in card(predictor, metrics, tmp_path)


def test_warns_of_synthetic_training_data(predictor, metrics, tmp_path: Path) -> None:
    assert "synthetic sample data" not in card(predictor, metrics, tmp_path)
    data = {**predictor.spec.training_data, "synthetic": True}
    predictor.spec = predictor.spec.model_copy(update={"training_data": data})
    assert "synthetic sample data" in card(predictor, metrics, tmp_path)


@pytest.mark.parametrize(
    ("update", "title"),
    [({"training_data": {}}, "Training data"), ({"git_commit": "", "library_versions": {}}, "How to reproduce")],
)
def test_refuses_an_empty_section(predictor, metrics, tmp_path: Path, update: dict, title: str) -> None:
    predictor.spec = predictor.spec.model_copy(update=update)
    with pytest.raises(BundleError, match=title):
        card(predictor, metrics, tmp_path)
    assert not (tmp_path / "card" / "MODEL_CARD.md").exists()


def test_refuses_an_empty_licence(predictor, metrics, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Licence"):
        card(predictor, metrics, tmp_path, licence=" ")


def test_the_head_of_a_table_alone_is_empty() -> None:
    text = "# T\n\n## A\n\n| a | b |\n|---|---|\n\n## B\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert empty_sections(text) == ["A"]
