from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlopsproject.core.classes import SEVEN
from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.data.fer_csv import find_delimiter, parse_pixels, read_rows
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import read_labels

PIXELS = "1 2 3 4"


def items(text: str, **label_map: str | None) -> list[Item]:
    """Read a CSV as an import does, under the name `fer2013.csv`."""
    content = text.encode()
    delimiter = find_delimiter(content, "fer2013.csv", required=True)
    assert delimiter is not None
    return list(read_rows(io.BytesIO(content), "fer2013.csv", delimiter, read_labels("seven", label_map)))


def rows(text: str) -> list[tuple[str, str, str, object, str]]:
    return [(item.path, item.label, item.source_split, item.payload, item.reason) for item in items(text)]


THREE = [
    ("fer2013.csv#row=1", "angry", "train", PIXELS, ""),
    ("fer2013.csv#row=2", "neutral", "validation", PIXELS, ""),
    ("fer2013.csv#row=3", "happy", "test", PIXELS, ""),
]


@pytest.mark.parametrize(
    "text",
    [
        f"emotion,pixels,Usage\n0,{PIXELS},Training\n6,{PIXELS},PublicTest\n3,{PIXELS},PrivateTest\n",
        f"emotion, Usage, pixels\n0,Training,{PIXELS}\n6,PublicTest,{PIXELS}\n3,PrivateTest,{PIXELS}\n",
        f"\ufeffemotion, Usage, pixels\r\n0, Training, {PIXELS}\r\n6, PublicTest, {PIXELS}\r\n3, PrivateTest, {PIXELS}",
        f'\ufeff"emotion","Usage","pixels"\r\n"0","Training","{PIXELS}"\r\n6,PublicTest,"{PIXELS}"\r\n3,PrivateTest,{PIXELS}',
        f"EMOTION , PIXELS,usage\nAngry ,{PIXELS}, training\nNEUTRAL,{PIXELS},PUBLICTEST\n Happiness,{PIXELS},Test\n",
        f",emotion,pixels,Usage\n0,0,{PIXELS},Training\n1,6,{PIXELS},PublicTest\n2,3,{PIXELS},PrivateTest\n",
        f"emotion,pixels,Usage,\n0,{PIXELS},Training\n6,{PIXELS},PublicTest,\n3,{PIXELS},PrivateTest,,\n",
    ],
    ids=["fer2013", "icml", "byte order mark", "quoted", "any case", "index column", "trailing commas"],
)
def test_every_layout_says_the_same(text: str) -> None:
    assert rows(text) == THREE


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_columns_may_be_separated_by_any_usual_delimiter(delimiter: str, order: tuple[int, ...]) -> None:
    table = [("emotion", "pixels", "Usage"), ("0", PIXELS, "Training"), ("6", PIXELS, "PublicTest")]
    table += [("3", PIXELS, "PrivateTest")]
    assert rows("\n".join(delimiter.join(line[place] for place in order) for line in table)) == THREE


@pytest.mark.parametrize(
    "header", ["emotion:pixels:Usage", "emotion,pixels;Usage", "emotion pixels Usage", "label,image", "", "sep=;"]
)
def test_columns_that_cannot_be_told_apart_are_one_clear_error(header: str) -> None:
    with pytest.raises(
        DataError, match=rf"fer2013\.csv has a first line .*{re.escape(repr(header))}.*emotion,pixels,Usage"
    ):
        find_delimiter(f"{header}\n3,1 2 3 4,Training\n".encode(), "fer2013.csv", required=True)


def test_a_csv_among_pictures_is_left_alone_unless_it_means_to_list_some() -> None:
    for head in (b"name,label\nx,happy\n", b"", b"\xff\xfe\xff", b"about emotion and pixels\n"):
        assert find_delimiter(head, "a.csv") is None
    for head in (b"emotion:pixels\n", b"emotion,pixels;Usage\n"):
        with pytest.raises(DataError, match="semicolons"):
            find_delimiter(head, "a.csv")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_name(coding: str) -> None:
    text = f"emotion;pixels\n3;{PIXELS}\n" if coding == "utf-16" else f"\ufeffemotion;pixels\n3;{PIXELS}\n"
    with pytest.raises(DataError, match=r"a\.csv is UTF-16 text\. Save it as CSV in UTF-8"):
        find_delimiter(text.encode(coding)[:-1], "a.csv")


def test_a_column_that_is_there_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="two columns 'emotion'"):
        rows(f"emotion,pixels,Emotion\n3,{PIXELS},4\n")


def test_usage_is_optional_and_labels_may_be_names() -> None:
    assert rows(f"emotion,pixels\nSuprise,{PIXELS}\n") == [("fer2013.csv#row=1", "surprise", "", PIXELS, "")]


@pytest.mark.parametrize("written", ["3", "3.0", "3.00", "3.", "03", " 3 ", '"3.0"', "happy", "HAPPY", "3_happy"])
def test_a_class_may_be_a_number_as_programs_write_it_or_a_name(written: str) -> None:
    assert items(f"emotion,pixels\n{written},{PIXELS}\n")[0].label == "happy"


def test_a_decimal_comma_is_read_where_columns_have_another_delimiter() -> None:
    assert [item.label for item in items(f"emotion;pixels\n3,0;{PIXELS}\n0,00;{PIXELS}\n")] == ["happy", "angry"]


@pytest.mark.parametrize(
    "written", ["3.5", "2.9999", "7", "7.0", "-1", "1e0", "inf", "9" * 5000, "smirk", "x" * 10_000]
)
def test_a_label_that_is_no_class_is_an_error_that_names_file_row_and_value(written: str) -> None:
    with pytest.raises(DataError) as caught:
        items(f"emotion,pixels\n3,{PIXELS}\n{written},{PIXELS}\n")
    assert re.search(rf"Unknown class '{written[:60]}.*emotion of fer2013\.csv#row=2.*label_map", str(caught.value))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("written", ["", "  ", "nan", "NaN", "null", "None"])
def test_a_row_without_a_label_is_listed_not_fatal(written: str) -> None:
    first, second = items(f"emotion,pixels\n{written},{PIXELS}\n3,{PIXELS}\n")
    assert (first.path, first.reason) == ("fer2013.csv#row=1", "no_label")
    assert repr(written.strip()) in first.detail
    assert second.label == "happy"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0", "1 columns instead of 3"),
        (f"1,{PIXELS}", "2 columns instead of 3"),
        ("1,1,2,3,4,Training", "6 columns instead of 3"),
        ("", "0 columns instead of 3"),
    ],
)
def test_a_row_of_other_columns_is_listed_not_fatal(row: str, said: str) -> None:
    first, second = items(f"emotion,pixels,Usage\n{row}\n1,{PIXELS},Training\n")
    assert (first.reason, first.detail, second.reason) == ("malformed_row", said, "")


@pytest.mark.parametrize("usage", ["Trainnig", "nan", "x" * 1000])
def test_an_unknown_usage_is_an_error_that_names_the_row(usage: str) -> None:
    with pytest.raises(DataError, match=rf"Unknown Usage '{usage[:60]}'.*row=1"):
        rows(f"emotion,pixels,Usage\n0,1 2,{usage}\n")


def test_a_label_map_goes_by_the_label_as_found_then_by_its_class() -> None:
    text = "emotion,pixels\n" + "".join(f"{label},{PIXELS}\n" for label in ("3.0", "Smirk", "7", "sad", "sadness"))
    found = items(text, **{"3": "angry", "smirk": "happy", "7": None, "sad": "fear", "sadness": "sad"})
    assert [item.label or item.reason for item in found] == ["angry", "happy", "dropped_label", "fear", "sad"]
    assert "'7'" in found[2].detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emotion,pixels\n3," + "9" * 9_000_000, r"line 2 of more than 8,400,000 bytes"),
        ('emotion,pixels\n3,"' + "1 \n" * 2_000_000, "not a readable CSV .*field larger"),
        ("emotion,pixels\r3,1 2 3 4\r", "not a readable CSV .*one row per line"),
    ],
)
def test_what_is_no_table_of_pictures_is_refused_before_it_fills_the_memory(text: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"fer2013\.csv .*{said}"):
        rows(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for head in (b"emotion,pixels,Usage\n", b"emotion;pixels\n", b""):
        with contextlib.suppress(DataError):
            delimiter = find_delimiter(head + content, "a.csv")
            if delimiter is not None:
                list(read_rows(io.BytesIO(head + content), "a.csv", delimiter))


@given(st.integers(0, 6), st.integers(0, 6), st.sampled_from(".,"))
def test_any_spelling_of_a_whole_number_is_that_number(number: int, zeros: int, point: str) -> None:
    written = f"{number}{point}{'0' * zeros}"
    assert items(f"emotion;pixels\n{written};{PIXELS}\n")[0].label == SEVEN[number]


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
