"""Videos and animated pictures into a table: a row for each face of each frame, and nothing dropped silently."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mlopsproject import Predictor
from mlopsproject.config import load_config
from mlopsproject.core.clip_scoring import ClipOptions, score_clip
from mlopsproject.core.clips import open_clip
from mlopsproject.core.errors import ConfigError, DataError, UserError
from mlopsproject.core.faces import FaceFinder, crop
from mlopsproject.data.synthetic import sample_face
from mlopsproject.predict import predict, summary

WHOLE = ClipOptions(faces="none")


@pytest.fixture(scope="module")
def predictor(tiny_bundle) -> Predictor:
    return Predictor(tiny_bundle)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def face(emotion: str, side: int) -> np.ndarray:
    """A drawn face whose edges run on a little, gray."""
    pixels = Image.fromarray(sample_face(emotion, 3, seed=0)).resize((side, side), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(pixels), side // 5, mode="edge")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames at 10/s: a large face that drifts to the right, a small one at rest, and nobody in frames 4 and 5."""
    path = tmp_path_factory.mktemp("clip") / "people.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 176))
    large, small = face("happy", 100), face("sad", 60)
    for index in range(10):
        picture = np.full((176, 320), 128, np.uint8)
        if index not in (4, 5):
            picture[10 : 10 + large.shape[0], 4 * index : 4 * index + large.shape[1]] = large
            picture[60 : 60 + small.shape[0], 220 : 220 + small.shape[1]] = small
        writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames that last 50 ms each and get lighter, as a GIF."""
    path = tmp_path_factory.mktemp("clip") / "shades.gif"
    frames = [Image.new("RGB", (48, 48), (20 * index,) * 3) for index in range(12)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def run(source: Path, predictor: Predictor, output: Path, options: ClipOptions, **more: Any) -> list[dict[str, str]]:
    score_clip(source, predictor, output, options, progress=False, **more)
    return read_csv(output)


def box_of(row: dict[str, str]) -> tuple[int, int, int, int]:
    return int(row["x"]), int(row["y"]), int(row["w"]), int(row["h"])


def test_the_columns_are_those_promised(shades, predictor, tmp_path):
    rows = run(shades, predictor, tmp_path / "out.csv", WHOLE)
    classes = ["angry", "fear", "happy", "sad", "surprise"]
    assert list(rows[0]) == [
        "frame", "time_s", "face", "x", "y", "w", "h", "label", "confidence", "uncertain",
        *(f"p_{name}" for name in classes), "smoothed_label", *(f"smoothed_p_{name}" for name in classes),
        "model_version",
    ]  # fmt: skip
    assert {row["model_version"] for row in rows} == {predictor.model_version}


def test_whole_frames_get_what_the_predictor_says_of_them(shades, predictor, tmp_path):
    rows = run(shades, predictor, tmp_path / "out.csv", WHOLE, batch_size=5)
    assert [int(row["frame"]) for row in rows] == list(range(12))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0.05 * index for index in range(12)])
    for row, frame in zip(rows, open_clip(shades).frames(), strict=True):
        (expected,) = predictor.predict(frame.image)
        assert (row["label"], row["uncertain"]) == (expected.label, str(expected.uncertain).lower())
        assert float(row["p_fear"]) == pytest.approx(expected.probabilities["fear"], abs=1e-6)
        assert (row["face"], row["x"], row["h"]) == ("0", "", "")


def test_smoothing_is_the_documented_moving_average(shades, predictor, tmp_path):
    rows = run(shades, predictor, tmp_path / "out.csv", ClipOptions(faces="none", smoothing=0.2))
    kept, value = np.exp(-0.05 / 0.2), None
    for row in rows:
        now = float(row["p_sad"])
        value = now if value is None else kept * value + (1 - kept) * now
        assert float(row["smoothed_p_sad"]) == pytest.approx(value, abs=1e-6)
        smooth = {name.removeprefix("smoothed_p_"): float(row[name]) for name in row if name.startswith("smoothed_p_")}
        assert sum(smooth.values()) == pytest.approx(1)
        assert row["smoothed_label"] == max(smooth, key=smooth.__getitem__)


def test_without_smoothing_both_answers_are_the_same(shades, predictor, tmp_path):
    for row in run(shades, predictor, tmp_path / "out.csv", ClipOptions(faces="none", smoothing=0)):
        assert (row["smoothed_label"], row["smoothed_p_happy"]) == (row["label"], row["p_happy"])


def test_the_largest_face_of_each_frame_is_scored_as_its_crop(people, predictor, finder, tmp_path):
    rows = run(people, predictor, tmp_path / "out.csv", ClipOptions(), finder=finder)
    assert [int(row["frame"]) for row in rows] == list(range(10))
    frames = {frame.index: frame.image for frame in open_clip(people).frames()}
    for row in rows:
        if int(row["frame"]) in (4, 5):
            continue
        box = box_of(row)
        assert box == finder.find(frames[int(row["frame"])])[0]
        (expected,) = predictor.predict(crop(frames[int(row["frame"])], box))
        assert float(row["confidence"]) == pytest.approx(expected.confidence, abs=1e-6)


def test_a_frame_without_a_face_has_a_row_that_says_so(people, predictor, finder, tmp_path):
    result = score_clip(people, predictor, tmp_path / "out.csv", ClipOptions(), finder=finder, progress=False)
    rows = [row for row in read_csv(tmp_path / "out.csv") if int(row["frame"]) in (4, 5)]
    assert len(rows) == 2
    for row in rows:
        assert row.pop("model_version") == predictor.model_version
        assert float(row.pop("time_s")) == pytest.approx(int(row.pop("frame")) / 10, abs=0.001)
        assert set(row.values()) == {""}
    assert (result.scored, result.missed, result.failed, result.unit) == (10, 2, 0, "frames")
    assert sum(result.labels.values()) == 8


def test_every_face_keeps_its_number_and_is_smoothed_by_itself(people, predictor, finder, tmp_path):
    options = ClipOptions(faces="all", smoothing=0.4)
    rows = [row for row in run(people, predictor, tmp_path / "out.csv", options, finder=finder) if row["face"]]
    left = [row for row in rows if int(row["x"]) < 150]
    right = [row for row in rows if int(row["x"]) >= 150]
    assert len(left) == len(right) == 8
    assert {row["face"] for row in left} == {"0"}
    assert {row["face"] for row in right} == {"1"}
    for track in (left, right):
        first, second = track[:2]
        kept = np.exp(-0.1 / 0.4)
        expected = kept * float(first["p_angry"]) + (1 - kept) * float(second["p_angry"])
        assert float(second["smoothed_p_angry"]) == pytest.approx(expected, abs=1e-4)


def test_workers_and_batches_change_nothing(people, predictor, finder, tmp_path):
    options = ClipOptions(faces="all")
    first = run(people, predictor, tmp_path / "a.csv", options, finder=finder, workers=1, batch_size=1)
    second = run(people, predictor, tmp_path / "b.csv", options, finder=finder, workers=4, batch_size=64)
    assert [{**row, **dict.fromkeys(k for k in row if "p_" in k or k == "confidence")} for row in first] == [
        {**row, **dict.fromkeys(k for k in row if "p_" in k or k == "confidence")} for row in second
    ]


def test_every_nth_frame_is_scored(shades, predictor, tmp_path):
    rows = run(shades, predictor, tmp_path / "out.csv", ClipOptions(faces="none", every=5))
    assert [int(row["frame"]) for row in rows] == [0, 5, 10]


def test_parquet_has_types_even_where_no_face_is_ever_found(shades, predictor, finder, tmp_path):
    score_clip(shades, predictor, tmp_path / "out.parquet", ClipOptions(), finder=finder, progress=False)
    schema = pq.read_schema(tmp_path / "out.parquet")
    kinds = {name: str(schema.field(name).type) for name in ("frame", "time_s", "x", "label", "uncertain", "p_sad")}
    assert kinds == {
        "frame": "int64", "time_s": "double", "x": "int64", "label": "string", "uncertain": "bool", "p_sad": "double",
    }  # fmt: skip
    assert pq.read_table(tmp_path / "out.parquet")["label"].null_count == 12


def test_what_is_missing_at_the_end_of_a_broken_file_is_listed(people, predictor, tmp_path):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(people.read_bytes()[: int(0.8 * people.stat().st_size)])
    result = score_clip(cut, predictor, tmp_path / "out.csv", WHOLE, progress=False)
    assert 0 < result.scored < 10
    assert result.failed == 10 - result.scored
    assert dict(result.reasons) == {"truncated": result.failed}
    (row,) = read_csv(tmp_path / "out.csv.errors.csv")
    assert row == {
        "path": str(cut),
        "reason": "truncated",
        "detail": f"The file announces 10 frames; the first {result.scored} could be read.",
    }
    assert any("truncated" in str(cell) for cell in summary(result).columns[0].cells)


def test_of_a_broken_file_only_the_frames_that_were_wanted_are_missed(people, predictor, tmp_path):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(people.read_bytes()[: int(0.6 * people.stat().st_size)])
    result = score_clip(cut, predictor, tmp_path / "out.csv", ClipOptions(faces="none", every=3), progress=False)
    assert 0 < result.scored < 4
    assert result.scored + result.failed == 4  # frames 0, 3, 6 and 9


def test_a_file_that_gives_no_frame_is_an_error_and_leaves_the_old_table(predictor, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(DataError, match=r"clip\.mp4 is not a video that can be read"):
        score_clip(tmp_path / "clip.mp4", predictor, tmp_path / "out.csv", WHOLE, progress=False)
    assert (tmp_path / "out.csv").read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["clip.mp4", "out.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ClipOptions(every=0), r"video\.every=0 is not possible"),
        (ClipOptions(faces="bigest"), r"video\.faces='bigest' is unknown"),  # type: ignore[arg-type]
        (ClipOptions(smoothing=-1), r"video\.smoothing=-1 is not possible"),
    ],
)
def test_options_that_cannot_be_are_named_before_any_work(shades, predictor, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        score_clip(shades, predictor, tmp_path / "out.csv", options, progress=False)
    assert not any(tmp_path.iterdir())


def test_the_output_may_not_be_the_clip(shades, predictor):
    with pytest.raises(ConfigError, match="ends in"):
        score_clip(shades, predictor, shades, WHOLE, progress=False)


def test_progress_goes_to_the_terminal_and_not_into_the_output(shades, predictor, tmp_path, capfd):
    score_clip(shades, predictor, tmp_path / "out.csv", WHOLE, progress=True)
    captured = capfd.readouterr()
    assert "12/12" in captured.err
    assert captured.out == ""


def test_memory_does_not_grow_with_the_length_of_a_clip(predictor, tmp_path):
    peaks = []
    for count in (40, 200):
        path = tmp_path / f"{count}.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
        for index in range(count):
            writer.write(np.full((240, 320, 3), index, np.uint8))
        writer.release()
        tracemalloc.start()
        score_clip(path, predictor, tmp_path / "out.csv", WHOLE, batch_size=16, workers=2, progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # One frame has 230 kB: 160 more of them would show.
    assert peaks[1] < peaks[0] + 2_000_000


# The command


@pytest.fixture
def command(tiny_bundle, tmp_path):
    """``command(*overrides)`` runs `predict` with the tiny bundle and gives the rows of its table."""

    def run(*overrides: str) -> list[dict[str, str]]:
        fixed = [f"bundle={tiny_bundle.path}", f"output={tmp_path / 'out.csv'}", "progress=false"]
        predict(load_config("predict", [*fixed, *overrides]))
        return read_csv(tmp_path / "out.csv")

    return run


def test_the_command_scores_a_clip_frame_by_frame(people, command, capsys):
    rows = command(f"input={people}", "video.every=2", "video.faces=all")
    assert [int(row["frame"]) for row in rows] == [0, 0, 2, 2, 4, 6, 6, 8, 8]
    printed = capsys.readouterr().out
    assert "5 frames scored" in printed
    assert "frames without a face found" in printed


def test_the_command_takes_a_picture_of_one_frame_as_a_picture(command, tmp_path, encode, smooth_picture):
    (tmp_path / "still.gif").write_bytes(encode(smooth_picture(), "GIF"))
    (row,) = command(f"input={tmp_path / 'still.gif'}")
    assert row["path"] == str(tmp_path / "still.gif")


@pytest.mark.parametrize("key", ["faces", "video.faces"])
def test_the_command_names_a_missing_face_model(people, command, tmp_path, encode, smooth_picture, key):
    (tmp_path / "face.png").write_bytes(encode(smooth_picture()))
    source = people if key == "video.faces" else tmp_path / "face.png"
    with pytest.raises(UserError, match=r"nowhere\.onnx does not exist"):
        command(f"input={source}", f"{key}=largest", "face_model=nowhere.onnx")


def test_the_command_names_a_wrong_word_for_faces(command, tmp_path, encode, smooth_picture):
    (tmp_path / "face.png").write_bytes(encode(smooth_picture()))
    with pytest.raises(ConfigError, match=r"faces='every' is unknown.*Known: none, largest, all"):
        command(f"input={tmp_path / 'face.png'}", "faces=every")
