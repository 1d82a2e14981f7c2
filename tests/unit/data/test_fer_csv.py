from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.data.fer_csv import fer_delimiter, parse_pixels, read_rows
from mlopsproject.data.labelling import ClassNames, class_names

PIXELS = "1 2 3 4"


def rows(text: str) -> list[tuple[str, str, str, object, str]]:
    items = read_rows(io.BytesIO(text.encode()), "fer2013.csv")
    return [(item.path, item.label, item.source_split, item.payload, item.reason) for item in items]


@pytest.mark.parametrize(
    "text",
    [
        f"emotion,pixels,Usage\n0,{PIXELS},Training\n6,{PIXELS},PublicTest\n3,{PIXELS},PrivateTest\n",
        f"emotion, Usage, pixels\n0,Training,{PIXELS}\n6,PublicTest,{PIXELS}\n3,PrivateTest,{PIXELS}\n",
        f"\ufeffemotion, Usage, pixels\r\n0, Training, {PIXELS}\r\n6, PublicTest, {PIXELS}\r\n3, PrivateTest, {PIXELS}",
    ],
)
def test_both_header_styles_say_the_same(text: str) -> None:
    assert fer_delimiter(text.encode()) == ","
    assert rows(text) == [
        ("fer2013.csv#row=1", "angry", "train", PIXELS, ""),
        ("fer2013.csv#row=2", "neutral", "validation", PIXELS, ""),
        ("fer2013.csv#row=3", "happy", "test", PIXELS, ""),
    ]


def test_usage_is_optional_and_labels_may_be_names() -> None:
    assert rows(f"emotion,pixels\nSuprise,{PIXELS}\n") == [("fer2013.csv#row=1", "surprise", "", PIXELS, "")]


def test_a_short_row_is_listed_not_fatal() -> None:
    assert [item[4] for item in rows(f"emotion,pixels,Usage\n0\n1,{PIXELS},Training\n")] == ["malformed_row", ""]


@pytest.mark.parametrize(("row", "named"), [("7,1 2,Training", "'7'"), ("0,1 2,Trainnig", "'Trainnig'")])
def test_unknown_emotion_or_usage_is_an_error_that_names_the_row(row: str, named: str) -> None:
    with pytest.raises(DataError, match=rf"{named}.*row=1"):
        rows(f"emotion,pixels,Usage\n{row}\n")


def test_other_csv_files_are_no_fer_csv() -> None:
    for head in (b"name,label\nx,happy\n", b"", b"emotion|pixels\n", b"emotion pixels\n"):
        assert fer_delimiter(head) is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_may_be_separated_by_commas_semicolons_and_tabs(delimiter: str) -> None:
    lines = ("emotion,pixels,Usage", f"0,{PIXELS},Training", f"happy,{PIXELS},PublicTest")
    text = "\r\n".join(line.replace(",", delimiter) for line in lines)
    assert fer_delimiter(text.encode()) == delimiter
    items = list(read_rows(io.BytesIO(text.encode()), "fer.csv", delimiter=delimiter))
    assert [(item.label, item.source_split, item.payload) for item in items] == [
        ("angry", "train", PIXELS),
        ("happy", "validation", PIXELS),
    ]


@pytest.mark.parametrize("written", ["3", "3.0", "3.", "3.000", "03", " 3.0 "])
def test_labels_may_be_written_as_floats(written: str) -> None:
    assert rows(f"emotion,pixels\n{written},{PIXELS}\n")[0][1] == "happy"


@pytest.mark.parametrize("written", ["3.5", "nan", "-1", "7.0", "1e0", "inf", "", "٣"])
def test_labels_that_are_no_whole_number_of_a_class_are_refused(written: str) -> None:
    with pytest.raises(DataError, match=r"Unknown class .*row=1"):
        rows(f"emotion,pixels\n{written},{PIXELS}\n")


def test_a_label_map_reads_other_numberings_and_leaves_classes_out() -> None:
    names = class_names("seven", {1: "surprise", "8": None, "Smirk": "happy"})  # type: ignore[dict-item]
    text = "emotion,pixels\n" + "".join(f"{label},{PIXELS}\n" for label in ("1", "1.0", "8", "smirk", "0"))
    items = list(read_rows(io.BytesIO(text.encode()), "raf.csv", names))
    assert [item.label for item in items] == ["surprise", "surprise", "", "happy", "angry"]
    assert [item.reason for item in items] == ["", "", "label_map", "", ""]
    assert [item.mapped for item in items] == ["1", "1", "8", "smirk", ""]


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(DataError, match=r"fer\.csv .*a line of more than"):
        list(read_rows(io.BytesIO(b"emotion,pixels\n" + b"1 " * 5_000_000), "fer.csv", ClassNames()))


@given(arrays(np.uint8, st.integers(1, 12).map(lambda side: (side, side))))
def test_pixels_survive_the_round_trip(pixels: np.ndarray) -> None:
    text = " ".join(map(str, pixels.ravel()))
    np.testing.assert_array_equal(parse_pixels(text), pixels)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("1 2 3", "truncated"),
        ("1 2 3 x", "not_an_image"),
        ("1 2 3 256", "unsupported"),
        ("-1", "unsupported"),
    ],
)
def test_bad_pixels_say_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        parse_pixels(text)
    assert caught.value.reason == reason
