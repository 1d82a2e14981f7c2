"""Look-ups, export and retention say and do what is in the database."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.prediction_rows import ids, make_row, make_rows, stored

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.moments import parse_moment
from mlopsproject.prediction_log import prune as prune_module
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.export import Selection, export
from mlopsproject.prediction_log.prune import count_prunable, prune
from mlopsproject.prediction_log.queries import find
from mlopsproject.prediction_log.rows import FeedbackRow, Row
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import feedback, to_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEVEN = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def at(minutes: float) -> float:
    return (NOON + timedelta(minutes=minutes)).timestamp()


def fill(database: Database, rows: Sequence[Row]) -> None:
    database.insert([to_record(row) for row in rows])


def test_a_row_comes_back_as_it_was(database: Database) -> None:
    rows = [make_row(created_at=at(0)), make_row(created_at=at(0.123), box=None, uncertain=True)]
    fill(database, rows)
    assert [find(database, row.prediction_id) for row in rows] == rows
    assert find(database, "0" * 32) is None


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def mixed(database: Database) -> Database:
    """Rows of a five-class and a seven-class model, some with feedback, in no order."""
    five = [make_row(created_at=at(minute)) for minute in (3, 1)]
    seven = make_row(
        created_at=at(2), model_version="seven", probabilities=dict.fromkeys(SEVEN, 1 / 7), box=None, uncertain=True
    )
    labels = [
        FeedbackRow(five[0].prediction_id, label, created_at=at(4 + n)) for n, label in enumerate(["sad", "fear"])
    ]
    fill(database, [*five, seven, *labels])
    return database


def test_a_csv_export_has_a_row_per_answer_and_a_column_per_class(mixed: Database, tmp_path: Path) -> None:
    result = export(mixed, tmp_path / "new" / "log.csv", Selection(), progress=False)
    assert (result.rows, result.with_feedback, result.classes) == (3, 1, sorted(SEVEN))
    rows = read_csv(result.output)
    assert [row["created_at"] for row in rows] == [f"2026-03-01 12:0{minute}:00+00:00" for minute in (1, 2, 3)]
    assert [row["p_disgust"] for row in rows] == ["", str(1 / 7), ""]
    assert [row["feedback"] for row in rows] == ["", "", "fear"]
    assert [(row["box_x"], row["box_height"], row["uncertain"]) for row in rows[:2]] == [
        ("10", "120", "false"),
        ("", "", "true"),
    ]


def test_a_parquet_export_has_types_also_where_the_first_values_are_missing(mixed: Database, tmp_path: Path) -> None:
    export(mixed, tmp_path / "log.parquet", Selection(), progress=False)
    table = pq.read_table(tmp_path / "log.parquet")
    types = {name: str(table.schema.field(name).type) for name in ("created_at", "box_x", "p_disgust", "feedback")}
    assert types == {
        "created_at": "timestamp[us, tz=UTC]",
        "box_x": "int64",
        "p_disgust": "double",
        "feedback": "string",
    }
    assert table["created_at"].to_pylist() == [NOON + timedelta(minutes=minute) for minute in (1, 2, 3)]
    assert table["feedback"].to_pylist() == [None, None, "fear"]


def test_an_export_of_many_chunks_misses_no_row(database: Database, tmp_path: Path) -> None:
    rows = [make_row(created_at=at(number // 3)) for number in range(4500)]
    fill(database, rows)
    assert export(database, tmp_path / "log.csv", Selection(), progress=False).rows == 4500
    assert sorted(ids(rows)) == sorted(row["prediction_id"] for row in read_csv(tmp_path / "log.csv"))


def test_a_selection_is_exported_alone(mixed: Database, tmp_path: Path) -> None:
    def exported(**selection: object) -> int:
        return export(mixed, tmp_path / "log.csv", Selection(**selection), progress=False).rows  # type: ignore[arg-type]

    assert exported(since=NOON + timedelta(minutes=2)) == 2
    assert exported(until=NOON + timedelta(minutes=2)) == 1
    assert exported(model_version="seven") == 1
    assert "p_disgust" in read_csv(tmp_path / "log.csv")[0]
    assert exported(since=NOON + timedelta(minutes=3)) == 1
    assert "p_disgust" not in read_csv(tmp_path / "log.csv")[0]


def test_an_export_of_nothing_is_an_error_and_leaves_the_old_table(mixed: Database, tmp_path: Path) -> None:
    target = tmp_path / "log.csv"
    target.write_text("old")
    with pytest.raises(DataError, match=r"holds no row of since=.*, model_version=none"):
        export(mixed, target, Selection(since=NOON, model_version="none"), progress=False)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.glob("*log.csv*")] == ["log.csv"]


@pytest.mark.parametrize(("name", "said"), [("log.xlsx", "output ends in '.xlsx'"), ("folder.csv", "is a folder")])
def test_an_impossible_output_is_refused(database: Database, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match=said):
        export(database, tmp_path / name, Selection(), progress=False)


def test_an_export_before_the_migration_says_what_to_run(tmp_path: Path) -> None:
    database = Database(LogSettings(data_dir=tmp_path).url)
    with pytest.raises(LogUnavailable, match=r"python -m mlopsproject\.log_migrate"):
        export(database, tmp_path / "log.csv", Selection(), progress=False)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (None, None),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01 12:00", NOON),
    ],
)
def test_moments_are_read_as_people_write_them(text: str | None, moment: datetime | None) -> None:
    assert parse_moment("since", text) == moment


def test_a_moment_that_is_none_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"since=yesterday is not possible\. Give a date such as"):
        parse_moment("since", "yesterday")


def test_old_rows_go_with_their_feedback_and_newer_ones_stay(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_module, "_BATCH", 3)
    old = [make_row(created_at=at(-minute)) for minute in range(1, 8)]
    new = make_rows(2, created_at=at(0))
    kept = [
        FeedbackRow(new[0].prediction_id, "sad", created_at=at(1)),
        # By a clock that is behind.
        FeedbackRow(new[1].prediction_id, "sad", created_at=at(-1)),
        FeedbackRow("1" * 32, "sad", created_at=at(2)),
    ]
    gone = [FeedbackRow(old[3].prediction_id, "sad", created_at=at(1)), FeedbackRow("2" * 32, "sad", created_at=at(-2))]
    fill(database, [*old, *new, *kept, *gone])
    counted = count_prunable(database, NOON)
    assert (counted.predictions, counted.feedback) == (7, 2)
    assert len(stored(database)) == 9
    assert prune(database, NOON) == counted
    assert stored(database) == ids(new)
    assert sorted(stored(database, feedback)) == sorted([*ids(new), "1" * 32])
    assert prune(database, NOON) == count_prunable(database, NOON)
    assert count_prunable(database, NOON).predictions == 0
