"""A batch's table as CSV: it reads back as it was, and no cell is a formula."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.frontend.stub_api import CLASSES, face, picture

from mlopsproject.core.schemas import PredictResponse
from mlopsproject.frontend.batch_run import FileRow
from mlopsproject.frontend.csv_table import guarded, to_csv

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "\0")  # noqa: RUF001
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
rows = st.lists(
    st.one_of(
        st.builds(FileRow, names, st.just(PredictResponse.model_validate(picture(face("sad", 0.4))))),
        st.builds(FileRow, names, reason=names),
    ),
    max_size=8,
)


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@given(rows)
def test_every_row_has_a_cell_per_column(table):
    head, *body = read(to_csv(table))
    assert len(body) == len(table)
    assert {len(row) for row in body} <= {len(head)}


@given(rows)
def test_names_and_reasons_come_back_as_they_were(table):
    _, *body = read(to_csv(table))
    for row, cells in zip(table, body, strict=True):
        assert cells[0] in (row.file, f"'{row.file}")
        assert cells[-1] in (row.reason, f"'{row.reason}")


@given(rows)
def test_no_cell_is_a_formula(table):
    for cells in read(to_csv(table)):
        for cell in cells:
            assert not cell.lstrip().startswith(FORMULAS)


@given(names)
def test_text_that_is_no_formula_is_left_alone(text):
    changed = guarded(text) != text
    assert changed == (text.lstrip().startswith(FORMULAS[:8]) or text.startswith(FORMULAS[8:]))


@pytest.mark.parametrize("text", ["=1+1", " =1+1", "+49", "-2", "@SUM(A1)", "\t=1", "＝1"])  # noqa: RUF001
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


def test_the_columns_and_values_of_an_answer_and_of_a_failure():
    answer = PredictResponse.model_validate(picture(face("sad", 0.4, number=7), search="not_found"))
    head, first, second = read(to_csv([FileRow("a.png", answer), FileRow("b, c.png", reason="No picture.")]))
    assert head == [
        "file", "label", "confidence", "uncertain", *(f"p_{name}" for name in CLASSES),
        "face_search", "prediction_id", "model_version", "problem",
    ]  # fmt: skip
    shares = ["0.150000", "0.150000", "0.150000", "0.400000", "0.150000"]
    assert first == [
        "a.png", "sad", "0.400000", "true", *shares, "not_found", f"{7:032x}", "stub-0123456789ab", ""
    ]  # fmt: skip
    assert second == ["b, c.png", *[""] * 11, "No picture."]


def test_pandas_reads_it():
    answer = PredictResponse.model_validate(picture(face("happy", 0.9)))
    table = pd.read_csv(io.BytesIO(to_csv([FileRow("größe.png", answer)])))
    assert table.loc[0, "file"] == "größe.png"
    assert table[[f"p_{name}" for name in CLASSES]].sum(axis=1).item() == pytest.approx(1)
    assert not table.loc[0, "uncertain"]


def test_models_of_different_classes_share_a_table():
    one = PredictResponse.model_validate(picture(face()))
    other = one.model_copy(update={"probabilities": {"happy": 0.6, "neutral": 0.4}})
    head, first, second = read(to_csv([FileRow("1", one), FileRow("2", other)]))
    at = head.index("p_neutral")
    assert (first[at], second[at]) == ("", "0.400000")
    assert second[head.index("p_angry")] == ""
