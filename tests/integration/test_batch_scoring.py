"""Scoring many pictures into a table: every picture is accounted for, and tables appear complete or not at all."""

from __future__ import annotations

import csv
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlopsproject import Predictor
from mlopsproject.core.batch_scoring import score
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.faces import FaceFinder, crop
from mlopsproject.data.synthetic import sample_face


@pytest.fixture(scope="module")
def predictor(tiny_bundle) -> Predictor:
    return Predictor(tiny_bundle)


@pytest.fixture
def faces(tmp_path, encode, smooth_picture) -> Path:
    """Twenty good pictures in two folders, one with a name that needs quoting, and three bad files."""
    folder = tmp_path / "faces"
    for number in range(20):
        path = folder / f"group {number % 2}" / (f"{number:02}.png" if number else 'odd, "name".png')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(smooth_picture(seed=number)))
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not a picture")
    (folder / "cut.png").write_bytes(encode(smooth_picture())[:200])
    return folder


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_file_is_scored_or_listed(faces, predictor, tmp_path):
    result = score(faces, predictor, tmp_path / "out.csv", batch_size=7, progress=False)
    rows, errors = read_csv(tmp_path / "out.csv"), read_csv(tmp_path / "out.csv.errors.csv")
    assert (result.scored, result.failed) == (len(rows), len(errors)) == (20, 3)
    assert list(rows[0]) == [
        "path", "label", "confidence", "uncertain",
        "p_angry", "p_fear", "p_happy", "p_sad", "p_surprise", "model_version",
    ]  # fmt: skip
    assert {Path(row["path"]).name: row["reason"] for row in errors} == {
        "empty.jpg": "empty",
        "text.jpg": "not_an_image",
        "cut.png": "truncated",
    }
    assert result.errors == tmp_path / "out.csv.errors.csv"
    assert sum(result.labels.values()) == 20
    assert result.uncertain == sum(row["uncertain"] == "true" for row in rows)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["faces", "out.csv", "out.csv.errors.csv"]


def test_rows_are_what_the_predictor_says_in_the_order_of_the_source(faces, predictor, tmp_path):
    score(faces, predictor, tmp_path / "out.csv", batch_size=3, workers=4, progress=False)
    rows = read_csv(tmp_path / "out.csv")
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    for row in rows:
        (expected,) = predictor.predict(row["path"])
        assert row["label"] == expected.label
        assert float(row["confidence"]) == pytest.approx(expected.confidence, abs=1e-6)
        assert float(row["p_sad"]) == pytest.approx(expected.probabilities["sad"], abs=1e-6)
        assert row["model_version"] == predictor.model_version


def test_parquet_holds_the_same_with_types(faces, predictor, tmp_path):
    score(faces, predictor, tmp_path / "out.csv", progress=False)
    score(faces, predictor, tmp_path / "out.parquet", progress=False)
    table = pq.read_table(tmp_path / "out.parquet")
    assert [str(kind) for kind in table.schema.types] == [
        "string",
        "string",
        "double",
        "bool",
        *["double"] * 5,
        "string",
    ]
    rows = read_csv(tmp_path / "out.csv")
    assert table["path"].to_pylist() == [row["path"] for row in rows]
    assert table["confidence"].to_pylist() == pytest.approx([float(row["confidence"]) for row in rows])


def test_parquet_is_written_in_groups(faces, predictor, tmp_path, monkeypatch):
    monkeypatch.setattr("mlopsproject.core.tables._GROUP", 8)
    score(faces, predictor, tmp_path / "out.parquet", batch_size=4, progress=False)
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 20


def test_a_list_and_a_single_file_work_too(faces, predictor, tmp_path):
    pictures = sorted(faces.rglob("*.png"))
    (tmp_path / "list.txt").write_text("\n".join([*map(str, pictures), "missing.png"]))
    result = score(tmp_path / "list.txt", predictor, tmp_path / "list-out.csv", progress=False)
    assert (result.scored, result.failed, dict(result.reasons)) == (20, 2, {"truncated": 1, "unreadable": 1})
    assert score(pictures[-1], predictor, tmp_path / "one.csv", progress=False).scored == 1


def test_no_error_table_is_left_when_there_are_no_errors(faces, predictor, tmp_path):
    score(faces, predictor, tmp_path / "out.csv", progress=False)
    result = score(faces / "group 1", predictor, tmp_path / "out.csv", progress=False)
    assert result.errors is None
    assert not (tmp_path / "out.csv.errors.csv").exists()


def test_nothing_usable_is_an_error_that_keeps_the_list_and_the_old_table(faces, predictor, tmp_path):
    (tmp_path / "out.csv").write_text("old")
    (tmp_path / "list.txt").write_text(f"{faces}/empty.jpg\n{faces}/text.jpg\n")
    with pytest.raises(DataError, match=r"None of the 2 .* can be used \(1 empty, 1 not_an_image\).*errors\.csv"):
        score(tmp_path / "list.txt", predictor, tmp_path / "out.csv", progress=False)
    assert (tmp_path / "out.csv").read_text() == "old"
    assert len(read_csv(tmp_path / "out.csv.errors.csv")) == 2


def test_an_empty_folder_is_an_error(predictor, tmp_path):
    (tmp_path / "faces").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        score(tmp_path / "faces", predictor, tmp_path / "out.csv", progress=False)
    assert [item.name for item in tmp_path.iterdir()] == ["faces"]


def test_an_output_of_another_kind_or_the_input_itself_is_refused(faces, predictor, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in '\.xlsx'"):
        score(faces, predictor, tmp_path / "out.xlsx", progress=False)
    (tmp_path / "list.csv").write_text("path\nx.png\n")
    with pytest.raises(ConfigError, match="overwrite the input"):
        score(tmp_path / "list.csv", predictor, tmp_path / "list.csv", progress=False)
    assert (tmp_path / "list.csv").read_text() == "path\nx.png\n"


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": -1}, {"batch_size": 2.5}])
def test_a_number_below_one_is_named_before_any_work(faces, predictor, tmp_path, wrong):
    with pytest.raises(ConfigError, match=rf"{next(iter(wrong))}=.* is not possible"):
        score(faces, predictor, tmp_path / "out.csv", progress=False, **wrong)


def test_an_output_that_is_a_folder_is_refused(faces, predictor, tmp_path):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(ConfigError, match=r"out\.csv is a folder"):
        score(faces, predictor, tmp_path / "out.csv", progress=False)


def test_tables_of_an_earlier_run_inside_the_input_are_no_pictures(faces, predictor, tmp_path):
    for _ in range(2):
        result = score(faces, predictor, faces / "out.csv", progress=True)
        assert (result.scored, result.failed) == (20, 3)


def test_a_missing_picture_whose_name_is_not_utf_8_is_listed(predictor, tmp_path, encode, smooth_picture):
    (tmp_path / "face.png").write_bytes(encode(smooth_picture()))
    (tmp_path / "list.txt").write_bytes(b"face.png\nb\xfccher.png\n")
    result = score(tmp_path / "list.txt", predictor, tmp_path / "out.csv", progress=False)
    assert (result.scored, result.failed) == (1, 1)
    (row,) = read_csv(tmp_path / "out.csv.errors.csv")
    assert row["path"] == "b\\udcfccher.png"


def test_an_interruption_leaves_nothing_behind(faces, predictor, tmp_path, monkeypatch):
    calls = []

    def interrupt_later(*arguments: object, **options: object) -> list:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = predictor.predict_inputs
    monkeypatch.setattr(predictor, "predict_inputs", interrupt_later)
    with pytest.raises(KeyboardInterrupt):
        score(faces, predictor, tmp_path / "out.csv", batch_size=4, progress=False)
    assert [item.name for item in tmp_path.iterdir()] == ["faces"]


def test_progress_goes_to_the_terminal_and_not_into_the_output(faces, predictor, tmp_path, capfd):
    score(faces, predictor, tmp_path / "out.csv", progress=True)
    captured = capfd.readouterr()
    assert "23/23" in captured.err
    assert captured.out == ""


def test_memory_does_not_grow_with_the_number_of_pictures(predictor, tmp_path, encode, smooth_picture):
    (tmp_path / "face.jpg").write_bytes(encode(smooth_picture(), "JPEG"))
    peaks = []
    for count in (600, 3000):
        (tmp_path / "list.txt").write_text(f"{tmp_path}/face.jpg\n" * count)
        tracemalloc.start()
        score(tmp_path / "list.txt", predictor, tmp_path / "out.csv", progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1_000_000


@pytest.fixture
def web(encode, smooth_picture) -> Iterator[str]:
    """A local web server with one picture, one page and a missing address."""
    content = {"/face.png": encode(smooth_picture()), "/page": b"<html>no picture</html>"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = content.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_urls_are_fetched_and_failures_listed(web, predictor, tmp_path, encode, smooth_picture):
    assert score(f"{web}/face.png", predictor, tmp_path / "one.csv", progress=False).scored == 1
    (row,) = read_csv(tmp_path / "one.csv")
    (expected,) = predictor.predict(encode(smooth_picture()))
    assert (row["path"], row["label"]) == (f"{web}/face.png", expected.label)
    (tmp_path / "list.txt").write_text(
        f"{web}/face.png\n{web}/page\n{web}/missing\nhttp://127.0.0.1:9/x.png\nhttp://[bad\n"
    )
    result = score(tmp_path / "list.txt", predictor, tmp_path / "out.csv", progress=False)
    assert (result.scored, dict(result.reasons)) == (1, {"fetch_failed": 3, "not_an_image": 1})


def test_a_url_that_gives_too_much_is_cut_off(web, predictor, tmp_path, monkeypatch):
    monkeypatch.setattr("mlopsproject.core.picture_sources._URL_BYTES", 100)
    with pytest.raises(DataError, match="1 too_large"):
        score(f"{web}/face.png", predictor, tmp_path / "out.csv", progress=False)


# Faces of the pictures


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with two faces, with one, and with none."""
    folder = tmp_path_factory.mktemp("photos")
    for name, places in (("a-two", ((20, 20, 60), (170, 30, 110))), ("b-one", ((90, 40, 90),)), ("c-none", ())):
        picture = Image.new("L", (320, 190), 128)
        for x, y, side in places:
            drawn = Image.fromarray(sample_face("happy", 3, seed=0)).resize((side, side), Image.Resampling.BICUBIC)
            around = Image.fromarray(np.pad(np.asarray(drawn), side // 5, mode="edge"))
            picture.paste(around, (x - side // 5, y - side // 5))
        picture.save(folder / f"{name}.png")
    return folder


def score_faces(photos: Path, predictor: Predictor, output: Path, faces: str) -> list[tuple[str, dict[str, str]]]:
    score(photos, predictor, output, faces=faces, progress=False)
    return [(Path(row["path"]).stem, row) for row in read_csv(output)]


def test_the_largest_face_is_scored_and_a_missed_one_is_told(photos, predictor, tmp_path):
    rows = score_faces(photos, predictor, tmp_path / "out.csv", "largest")
    assert list(rows[0][1])[:6] == ["path", "face_search", "x", "y", "w", "h"]
    assert [(name, row["face_search"]) for name, row in rows] == [
        ("a-two", "found"), ("b-one", "found"), ("c-none", "not_found"),
    ]  # fmt: skip
    finder = FaceFinder()
    for name, row in rows:
        picture = Image.open(photos / f"{name}.png")
        found = finder.find(picture)
        box = (int(row["x"]), int(row["y"]), int(row["w"]), int(row["h"])) if found else None
        assert box == (found[0] if found else None)
        (expected,) = predictor.predict(crop(picture, box) if box else picture)
        assert float(row["confidence"]) == pytest.approx(expected.confidence, abs=1e-6)
    assert rows[2][1]["x"] == ""


def test_all_faces_have_a_row_each_the_largest_first(photos, predictor, tmp_path):
    rows = score_faces(photos, predictor, tmp_path / "out.csv", "all")
    assert [name for name, _ in rows] == ["a-two", "a-two", "b-one", "c-none"]
    assert int(rows[0][1]["w"]) > int(rows[1][1]["w"])


def test_missed_faces_are_counted_and_pictures_stay_pictures(photos, predictor, tmp_path):
    result = score(photos, predictor, tmp_path / "out.csv", faces="all", batch_size=1, progress=False)
    assert (result.scored, result.missed, result.failed) == (3, 1, 0)
    assert sum(result.labels.values()) == 4


def test_boxes_are_in_the_pixels_of_the_file_though_large_jpegs_are_decoded_smaller(photos, predictor, tmp_path):
    with Image.open(photos / "b-one.png") as picture:
        (tmp_path / "large").mkdir()
        picture.resize((3200, 1900)).save(tmp_path / "large" / "one.jpg")
    score(tmp_path / "large", predictor, tmp_path / "out.csv", faces="largest", progress=False)
    (row,) = read_csv(tmp_path / "out.csv")
    middle = int(row["x"]) + int(row["w"]) / 2, int(row["y"]) + int(row["h"]) / 2
    assert middle == pytest.approx((1350, 850), abs=100)
    assert 600 < int(row["w"]) < 1000


def test_parquet_keeps_boxes_as_numbers_even_if_there_are_none(photos, predictor, tmp_path):
    score(photos / "c-none.png", predictor, tmp_path / "out.parquet", faces="largest", progress=False)
    table = pq.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("x").type) == "int64"
    assert table["x"].to_pylist() == [None]


def test_another_word_for_faces_is_refused(photos, predictor, tmp_path):
    with pytest.raises(ConfigError, match=r"faces='each' is unknown"):
        score(photos, predictor, tmp_path / "out.csv", faces="each", progress=False)
