"""A row survives as a line, and a damaged line is never taken for a row."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError
from tests.prediction_rows import make_row

from mlopsproject.prediction_log.lines import from_line, to_line
from mlopsproject.prediction_log.rows import FeedbackRow, Row, from_document, to_document

words = st.text(st.characters(codec="utf-8"), max_size=20)
fractions = st.floats(allow_nan=False, allow_infinity=False)
predictions = st.builds(
    make_row,
    prediction_id=words,
    model_version=words,
    predicted=words,
    created_at=fractions,
    confidence=fractions,
    uncertain=st.booleans(),
    probabilities=st.dictionaries(words, fractions, max_size=7),
    box=st.none() | st.tuples(*[st.integers(-(2**31), 2**31)] * 4),
    width=st.integers(0, 2**31),
)
feedback = st.builds(FeedbackRow, prediction_id=words, label=words, created_at=fractions)


@given(predictions | feedback)
def test_a_row_comes_back_as_it_was(row: Row) -> None:
    line = to_line(row)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    document = from_line(line)
    assert document is not None
    assert from_document(document) == row


def test_a_line_is_the_checksum_and_the_row_as_a_document() -> None:
    row = make_row()
    assert json.loads(to_line(row)[9:]) == json.loads(json.dumps(to_document(row)))


@settings(max_examples=300)
@given(predictions | feedback, st.data())
def test_a_changed_byte_is_noticed(row: Row, data: st.DataObject) -> None:
    line = to_line(row)[:-1]
    place = data.draw(st.integers(0, len(line) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda value: value != line[place]))
    assert from_line(line[:place] + bytes([changed]) + line[place + 1 :]) is None


@given(predictions | feedback, st.data())
def test_a_cut_line_is_noticed(row: Row, data: st.DataObject) -> None:
    line = to_line(row)[:-1]
    assert from_line(line[: data.draw(st.integers(0, len(line) - 1))]) is None


@pytest.mark.parametrize("line", [b"", b"\n", b"00000000 \n", b"00000000", b"{}", b"\0" * 4096])
def test_what_is_no_line_is_no_row(line: bytes) -> None:
    assert from_line(line) is None


def test_a_value_of_the_wrong_type_is_a_mistake_of_the_program() -> None:
    with pytest.raises(PydanticSerializationError, match="width"):
        to_line(make_row(width="64"))
