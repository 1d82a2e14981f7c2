"""The faces to look at: what counts, what repeats, and what cannot be used."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.prediction_rows import make_row

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.predictor import Predictor
from mlopsproject.monitoring.current import check_source, from_dataset, from_log, from_pictures, is_dataset
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.migrate import migrate
from mlopsproject.prediction_log.rows import FeedbackRow, Row
from mlopsproject.prediction_log.settings import LogSettings
from mlopsproject.prediction_log.tables import to_record

MODEL = "tiny-0123456789ab"


@pytest.fixture(scope="module")
def predictor(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(make_bundle(tmp_path_factory.mktemp("models"), size=16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten different pictures, two copies of one, a broken file, and a text."""
    rng = np.random.default_rng(0)
    place = tmp_path / "pictures" / "deep"
    place.mkdir(parents=True)
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (30, 20), dtype=np.uint8)).save(place / f"{number}.png")
    first = (place / "0.png").read_bytes()
    for name in ("copy.png", "copy again.png"):
        (place / name).write_bytes(first)
    (place / "broken.png").write_bytes(first[:200])
    (place / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def look(folder: Path, predictor: Predictor, shown: int = 4) -> object:
    return from_pictures(str(folder), predictor, "none", shown=shown, seed=0, progress=False)


def test_a_picture_that_is_there_several_times_counts_once(folder: Path, predictor: Predictor) -> None:
    current = look(folder, predictor)
    assert len(current.table) == 10
    assert current.repeated == 2
    assert sum(current.unusable.values()) == 2
    assert current.labelled is None
    assert set(current.table["width"]) == {20}
    assert set(current.table["height"]) == {30}
    assert current.pictures.shape == (4, 1, 16, 16)


def test_a_folder_of_no_faces_says_what_is_wrong_with_its_files(tmp_path: Path, predictor: Predictor) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        look(tmp_path / "empty", predictor)
    (tmp_path / "empty" / "a.txt").write_text("no picture")
    with pytest.raises(DataError, match="1 not_an_image"):
        look(tmp_path / "empty", predictor)


def test_where_faces_are_searched_for_pictures_without_one_do_not_count(tmp_path: Path, predictor: Predictor) -> None:
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(DataError, match="1 no_face"):
        from_pictures(str(tmp_path), predictor, "largest", shown=4, seed=0, progress=False)


def test_a_data_set_comes_with_its_labels(drawn_faces: Path, predictor: Predictor) -> None:
    current = from_dataset("drawn", "test", {"root": drawn_faces}, predictor, shown=4, seed=0)
    assert len(current.labelled) == 40
    assert set(current.labelled["label"]) == set(predictor.spec.classes)
    assert len(current.table) + current.repeated == 40
    assert current.pictures.shape == (4, 1, 16, 16)
    everything = from_dataset("drawn", "all", {"root": drawn_faces}, predictor, shown=4, seed=0)
    assert len(everything.labelled) == 160


def test_what_current_names(drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_dataset("dataset:drawn", drawn_faces)
    assert is_dataset("drawn", drawn_faces)
    (tmp_path / "drawn").mkdir()
    # A path is a path.
    assert not is_dataset("drawn", drawn_faces)
    assert not is_dataset("https://example.org/a.png", drawn_faces)
    with pytest.raises(DataError, match="did you mean 'drawn'"):
        is_dataset("drwn", drawn_faces)


@pytest.mark.parametrize(("current", "split"), [(None, "all"), ("", "all"), ("dataset:", "all"), ("log", "tset")])
def test_what_current_cannot_be(current: object, split: str) -> None:
    with pytest.raises(ConfigError):
        check_source(current, split)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    settings = LogSettings(data_dir=tmp_path)
    database = Database(settings.url)
    migrate(settings)
    return database


def put(database: Database, *rows: Row) -> None:
    database.insert([to_record(row) for row in rows])


def read(database: Database, **changes: object) -> object:
    options = {"limit": 1000, "columns": ("brightness", "predicted"), **changes}
    return from_log(database, MODEL, None, None, **options)


def test_the_log_gives_the_face_and_not_the_photograph(database: Database) -> None:
    put(database, make_row(brightness=0.1), make_row(brightness=0.2, box=None), make_row(brightness=0.2, box=None))
    current = read(database)
    assert current.repeated == 1
    assert sorted(zip(current.table["width"], current.table["height"], strict=True)) == [(100, 120), (640, 480)]
    assert current.pictures is None


def test_labels_of_the_log_are_the_newest_that_somebody_gave(database: Database) -> None:
    rows = [make_row(brightness=number / 10) for number in range(4)]
    put(
        database,
        *rows,
        FeedbackRow(rows[0].prediction_id, "sad", created_at=time.time() - 60),
        FeedbackRow(rows[0].prediction_id, "happy"),
        FeedbackRow(rows[1].prediction_id, "sad"),
        FeedbackRow("0" * 32, "sad"),
    )
    current = read(database)
    assert sorted(current.labelled["label"]) == ["happy", "sad"]
    assert {"predicted", "confidence"} <= set(current.labelled.columns)
    assert len(current.unlabelled) == 2


def test_labels_of_one_picture_count_once(database: Database) -> None:
    rows = [make_row(created_at=1000.0 + number) for number in range(5)]
    put(database, *rows, *(FeedbackRow(row.prediction_id, "sad") for row in rows[:3]), make_row(brightness=0.9))
    current = read(database)
    assert (len(current.table), current.repeated) == (2, 4)
    assert len(current.labelled) == 1


def test_more_rows_than_wanted_are_drawn_by_chance(database: Database) -> None:
    put(database, *(make_row(brightness=number / 1000, created_at=1000.0 + number) for number in range(400)))
    drawn = read(database, limit=100).table["brightness"]
    assert len(drawn) == 100
    # Neither the oldest nor the newest.
    assert 0.14 < drawn.mean() < 0.26
    assert list(drawn) == list(read(database, limit=100).table["brightness"])


def test_probabilities_are_read_where_they_are_wanted(database: Database) -> None:
    put(database, make_row())
    assert "p_happy" not in read(database).table
    assert read(database, columns=("p_happy",)).table["p_happy"].tolist() == [0.75]


def test_a_log_without_rows_says_which_there_are(database: Database) -> None:
    with pytest.raises(DataError, match=r"holds no row\. Serve some pictures first"):
        read(database)
    put(database, make_row(model_version="other-aaaaaaaaaaaa"), make_row(model_version="other-aaaaaaaaaaaa"))
    with pytest.raises(DataError, match=r"only of other-aaaaaaaaaaaa \(2\). .* bundle=other-aaaaaaaaaaaa"):
        read(database)


def test_broken_pictures_are_counted_by_reason(tmp_path: Path, predictor: Predictor) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(stream, "PNG")
    (tmp_path / "good.png").write_bytes(stream.getvalue())
    (tmp_path / "short.png").write_bytes(stream.getvalue()[:-40])
    current = look(tmp_path, predictor)
    assert len(current.table) == 1
    assert list(current.unusable.values()) == [1]
