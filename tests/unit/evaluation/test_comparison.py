"""The table of results: merging, sorting, seeds, reading back, drawing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlopsproject.core.errors import DataError
from mlopsproject.evaluation.comparison import (
    COLUMNS,
    merge_rows,
    plot_comparison,
    read_rows,
    seed_summary,
    write_rows,
)


def row(bundle: str = "fast-0123456789ab", accuracy: float = 0.7, **others: Any) -> dict[str, Any]:
    known = {"bundle": bundle, "precision": "fp32", "classes": 7, "data": "faces", "split": "test"}
    known |= {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.02,
        "accuracy_high": accuracy + 0.02,
        "latency_ms": 1.5,
    }
    return dict.fromkeys(COLUMNS) | known | others


def test_rows_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "bundles.csv"
    write_rows([row(command="uv run invoke train -o 'classes=[a,b]'", epochs=60)], path)
    read = read_rows(path)
    assert list(read[0]) == list(COLUMNS)
    assert read[0]["command"] == "uv run invoke train -o 'classes=[a,b]'"
    assert read[0]["macs"] == ""
    write_rows(merge_rows(read, []), path)
    assert read_rows(path) == read


def test_a_new_measurement_replaces_the_old_one_and_only_that(tmp_path: Path) -> None:
    path = tmp_path / "bundles.csv"
    write_rows([row(accuracy=0.6), row(accuracy=0.61, precision="int8"), row(accuracy=0.5, data="press")], path)
    merged = merge_rows(read_rows(path), [row(accuracy=0.65)])
    found = {(item["precision"], item["data"]): float(item["accuracy"]) for item in merged}
    assert found == {("fp32", "faces"): 0.65, ("int8", "faces"): 0.61, ("fp32", "press"): 0.5}


def test_fewer_classes_come_first_then_the_best() -> None:
    rows = [row("a-000000000000", 0.6), row("b-000000000000", 0.7), row("c-000000000000", 0.5, classes=5)]
    assert [item["bundle"][0] for item in merge_rows([], rows)] == ["c", "b", "a"]


def test_a_missing_table_is_empty_and_another_file_is_refused(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.csv") == []
    (tmp_path / "other.csv").write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"other\.csv is no table of results: it has no column bundle"):
        read_rows(tmp_path / "other.csv")


def test_runs_of_one_recipe_are_summarised_over_their_seeds() -> None:
    rows = [row(f"fast-{seed:012x}", 0.66 + 0.01 * seed, seed=seed) for seed in range(3)]
    rows += [row("large-000000000000", 0.7, seed=0), row("fast-000000000009", 0.1, seed=0, data="press")]
    summary = seed_summary(rows)
    assert [(found["recipe"], found["data"], found["seeds"]) for found in summary] == [("fast", "faces", 3)]
    assert summary[0]["mean"] == pytest.approx(0.67)
    assert summary[0]["sd"] == pytest.approx(0.01)


@pytest.mark.parametrize("classes", [7, 5])
def test_draws_with_and_without_rows_of_that_many_classes(classes: int, tmp_path: Path) -> None:
    rows = [row(), row(precision="int8", latency_ms=0.6, accuracy_low=None, accuracy_high=None)]
    published = [{"name": "someone", "classes": "7", "accuracy": "0.66"}]
    plot_comparison(rows, published, tmp_path / "plot.png", classes=classes)
    assert (tmp_path / "plot.png").stat().st_size > 5000
