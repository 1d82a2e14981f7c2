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
    same_images,
    seed_summary,
    write_rows,
)


def row(bundle: str = "fast-0123456789ab", accuracy: float = 0.7, **others: Any) -> dict[str, Any]:
    known = {"bundle": bundle, "precision": "fp32", "classes": 7, "data": "faces", "split": "test", "labels": "given"}
    known |= {"data_fingerprint": "f", "class_names": "a b c d e f g", "command": "uv run invoke train"}
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
    write_rows([row(accuracy=0.6), row(accuracy=0.61, precision="int8"), row(accuracy=0.5, data_fingerprint="p")], path)
    merged = merge_rows(read_rows(path), [row(accuracy=0.65)])
    found = {(item["precision"], item["data_fingerprint"]): float(item["accuracy"]) for item in merged}
    assert found == {("fp32", "f"): 0.65, ("int8", "f"): 0.61, ("fp32", "p"): 0.5}


def test_fewer_classes_come_first_then_the_best() -> None:
    rows = [row("a-000000000000", 0.6), row("b-000000000000", 0.7), row("c-000000000000", 0.5, classes=5)]
    assert [item["bundle"][0] for item in merge_rows([], rows)] == ["c", "b", "a"]


def test_a_missing_table_is_empty_and_another_file_is_refused(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.csv") == []
    (tmp_path / "other.csv").write_text("name,age\nx,3\n")
    with pytest.raises(DataError, match=r"other\.csv is no table of results: it has no column bundle"):
        read_rows(tmp_path / "other.csv")


def seeded(seed: int, accuracy: float, **others: Any) -> dict[str, Any]:
    command = "uv run invoke train -o epochs=3" + (f" -o seed={seed}" if seed else "")
    return row(f"fast-{seed:012x}", accuracy, seed=seed, **{"command": command, **others})


def test_runs_of_one_command_are_summarised_over_their_seeds() -> None:
    summary = seed_summary([seeded(seed, 0.66 + 0.01 * seed) for seed in range(3)])
    assert [(found["recipe"], found["data"], found["seeds"]) for found in summary] == [("fast", "faces", 3)]
    assert summary[0]["mean"] == pytest.approx(0.67)
    assert summary[0]["sd"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    "other",
    [
        {"command": "uv run invoke train -o epochs=9 -o seed=1"},
        {"data_fingerprint": "g"},
        {"class_names": "a b"},
        {"precision": "int8"},
        {"split": "all"},
    ],
)
def test_runs_that_differ_in_more_than_the_seed_are_not_summarised(other: dict[str, str]) -> None:
    assert seed_summary([seeded(0, 0.6), seeded(1, 0.7, **other)]) == []


def test_rows_without_a_seed_are_left_out_of_the_summary() -> None:
    assert seed_summary([row(seed=None), row("fast-000000000001", seed="")]) == []


def test_a_figure_shows_only_rows_of_the_same_images_and_classes() -> None:
    rows = [row(), row("b-000000000000"), row(data_fingerprint="g"), row(class_names="x y"), row(split="all")]
    rows.append(row(labels="majority"))
    assert same_images(rows, rows[0]) == rows[:2]


@pytest.mark.parametrize(("cell", "said"), [("73 %", "line 2: accuracy='73 %' is no number"), ("", "accuracy=''")])
def test_a_cell_without_its_number_is_named(cell: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "published.csv").write_text(f"name,classes,accuracy\nsomeone,7,{cell}\n")
    with pytest.raises(DataError, match=said):
        read_rows(tmp_path / "published.csv", ("name", "classes", "accuracy"))


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"name,classes\ncaf\xe9,7\n")
    with pytest.raises(DataError, match=r"table\.csv is no table of results"):
        read_rows(tmp_path / "table.csv", ("name",))


@pytest.mark.parametrize("classes", [7, 5])
def test_draws_with_and_without_rows_of_that_many_classes(classes: int, tmp_path: Path) -> None:
    rows = [row(), row(precision="int8", latency_ms=0.6, accuracy_low=None, accuracy_high=None)]
    published = [{"name": "someone", "classes": "7", "accuracy": "0.66"}]
    plot_comparison(rows, published, tmp_path / "plot.png", classes=classes)
    assert (tmp_path / "plot.png").stat().st_size > 5000
