"""Drift is found where there is some, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core.schemas import ColumnDrift
from mlopsproject.monitoring.detection import detect, distance, domain_scores, write_page
from mlopsproject.monitoring.settings import DetectionSettings

COLUMNS = ("brightness", "predicted", "embedding")
SETTINGS = DetectionSettings(COLUMNS, alpha=0.01, min_distance=0.1, min_rows=100, max_rows=50_000, seed=0)


def faces(count: int, seed: int, *, moved: float = 0.0, happy: float = 0.25, embedding: float = 0.0) -> pd.DataFrame:
    """Rows of made-up faces; each argument moves one column."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(embedding, 1, (count, 8)), columns=[f"e_{number}" for number in range(8)])
    table["brightness"] = rng.normal(0.5 + moved, 0.1, count)
    table["predicted"] = rng.choice(["angry", "happy", "sad"], count, p=[0.5 * (1 - happy), happy, 0.5 * (1 - happy)])
    return table


REFERENCE = faces(400, 0)


def column(found: list[ColumnDrift], name: str) -> ColumnDrift:
    return next(each for each in found if each.column == name)


def test_other_faces_of_the_same_kind_are_no_drift() -> None:
    found = detect(REFERENCE, faces(500, 1), SETTINGS)
    assert found.verdict == "ok"
    assert not found.drifted
    assert {each.column for each in found.columns} == set(COLUMNS)


@pytest.mark.parametrize(
    ("change", "drifted"),
    [({"moved": 0.05}, "brightness"), ({"happy": 0.5}, "predicted"), ({"embedding": 0.4}, "embedding")],
)
def test_each_kind_of_column_is_watched(change: dict[str, float], drifted: str) -> None:
    found = detect(REFERENCE, faces(500, 1, **change), SETTINGS)
    assert found.verdict == "drift"
    assert found.drifted == [drifted]
    # The furthest moved first.
    assert found.columns[0].column == drifted


def test_false_alarms_are_rare_over_many_runs() -> None:
    quick = replace(SETTINGS, columns=("brightness", "predicted"))
    alarms = [detect(REFERENCE, faces(300, seed), quick).verdict == "drift" for seed in range(1, 41)]
    assert sum(alarms) <= 2


def test_a_difference_that_is_certain_and_too_small_does_not_matter() -> None:
    few = replace(SETTINGS, columns=("brightness",))
    found = detect(faces(20_000, 0), faces(20_000, 1, moved=0.01), few).columns[0]
    assert found.p_value < 1e-6
    assert found.distance < 0.1
    assert not found.drifted
    assert detect(faces(20_000, 0), faces(20_000, 1, moved=0.01), replace(few, min_distance=0.01)).verdict == "drift"


def test_too_few_faces_tell_nothing_however_far_they_moved() -> None:
    found = detect(REFERENCE, faces(99, 1, moved=0.4), SETTINGS)
    assert found.verdict == "not_enough_data"
    assert found.columns == []
    assert detect(REFERENCE, faces(100, 1, moved=0.4), SETTINGS).verdict == "drift"


def test_too_small_a_reference_tells_nothing_either() -> None:
    for count in (1, 3, 99):
        assert detect(faces(count, 0), faces(500, 1, moved=0.4), SETTINGS).verdict == "not_enough_data"


def test_a_class_that_the_reference_lacks_counts() -> None:
    current = faces(500, 1)
    current.loc[:200, "predicted"] = "disgust"
    found = column(detect(REFERENCE, current, SETTINGS).columns, "predicted")
    assert found.drifted
    assert "disgust" not in found.reference
    assert found.current["disgust"] == pytest.approx(201 / 500)


def test_columns_that_never_vary_have_not_moved() -> None:
    reference, current = faces(400, 0), faces(500, 1)
    reference["width"] = current["width"] = 64
    reference["predicted"] = current["predicted"] = "happy"
    found = detect(reference, current, replace(SETTINGS, columns=("width", "predicted"))).columns
    assert [each.p_value for each in found] == [1.0, 1.0]
    assert [each.distance for each in found] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (faces(20_000, 0), faces(20_000, 1, moved=0.01)),
        (REFERENCE, faces(500, 1, happy=0.6)),
        (REFERENCE, faces(500, 1)),
    ],
    ids=["certain and small", "one column", "none"],
)
def test_evidentlys_page_says_of_each_column_what_the_verdict_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: pd.DataFrame, current: pd.DataFrame
) -> None:
    from evidently.core.report import Snapshot

    written = []
    save = Snapshot.save_html
    monkeypatch.setattr(Snapshot, "save_html", lambda self, path: (written.append(self), save(self, path)))
    found = detect(reference, current, replace(SETTINGS, columns=("brightness", "predicted")))
    write_page(found, tmp_path / "report.html")
    (snapshot,) = written
    tests = [test for test in snapshot.dict()["tests"] if "column" in test["metric_config"]["params"]]
    said = {test["metric_config"]["params"]["column"]: test["status"] == "FAIL" for test in tests}
    assert said == {each.column: each.drifted for each in found.columns}
    assert "brightness" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_faces_give_the_same_answer_again() -> None:
    first, second = (detect(REFERENCE, faces(300, 3), SETTINGS).columns for _ in range(2))
    assert first == second


def test_a_classifier_that_cannot_tell_gives_both_sides_the_same_scores() -> None:
    rng = np.random.default_rng(0)
    same = domain_scores(rng.normal(size=(300, 8)), rng.normal(size=(300, 8)), 0)
    other = domain_scores(rng.normal(size=(300, 8)), rng.normal(1, 1, size=(300, 8)), 0)
    assert abs(same[0].mean() - same[1].mean()) < 0.03
    assert other[1].mean() - other[0].mean() > 0.3


def test_predicted_classes_are_tested_as_two_samples_not_against_the_references_shares_as_if_exact() -> None:
    """Evidently's own test takes them for exact, and cries wolf where the reference is small."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    definition = DataDefinition(categorical_columns=["predicted"])
    report = Report([ValueDrift(column="predicted", method="chisquare")])
    ours = theirs = 0
    for seed in range(20):
        pair = [faces(150, seed)[["predicted"]], faces(1000, seed + 1000)[["predicted"]]]
        found = detect(*pair, replace(SETTINGS, columns=("predicted",), min_distance=0.0))
        ours += found.verdict == "drift"
        old, new = (Dataset.from_pandas(table, data_definition=definition) for table in pair)
        theirs += float(report.run(new, old).dict()["metrics"][0]["value"]) < 0.01
    assert ours <= 2
    assert theirs >= 5


numbers = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30)
words = st.lists(st.sampled_from("abcd"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.tuples(st.just("x"), numbers, numbers), st.tuples(st.just("predicted"), words, words)))
def test_a_distance_is_a_share_the_same_both_ways_and_zero_only_for_equal_samples(
    case: tuple[str, list[object], list[object]],
) -> None:
    name, left, right = case
    a, b = pd.Series(left, name=name), pd.Series(right, name=name)
    assert 0 <= distance(a, b) <= 1 + 1e-12
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, a) == pytest.approx(0)
