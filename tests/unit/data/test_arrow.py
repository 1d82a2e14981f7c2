"""Arrow arrays made without pandas are those that PyArrow makes itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.data.arrow import arrow_array


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([], pa.string()),
        (["", "a", "\N{SNOWMAN}"], pa.string()),
        (np.array(["train", ""]), pa.string()),
        ([], pa.binary(2)),
        ([b"ab", b"\x00\xff"], pa.binary(2)),
        ([1, -7], pa.int32()),
        (np.array([2**64 - 1], np.uint64), pa.uint64()),
        (np.arange(6)[::2], pa.int64()),
    ],
)
def test_arrays_equal_those_of_pyarrow(values: Any, kind: pa.DataType) -> None:
    made = arrow_array(values, kind)
    made.validate(full=True)
    assert made.equals(pa.array(values, kind))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_text_survives(values: list[str]) -> None:
    assert arrow_array(values, pa.string()).to_pylist() == values


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 bytes"):
        arrow_array([b"ab", b"abc"], pa.binary(2))
    with pytest.raises(OverflowError):
        arrow_array([2**31], pa.int32())


def test_an_import_does_without_pandas(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from mlopsproject.data.benchmark import draw_faces
from mlopsproject.data.importer import import_dataset
draw_faces(Path({str(tmp_path / "drawn")!r}), 50, side=24)
import_dataset({str(tmp_path / "drawn")!r}, "drawn", root=Path({str(tmp_path / "data")!r}), progress=False)
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
