"""The shipped sample data is recognised, whatever it is called and however it is split."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mlopsproject.data.importer import import_dataset
from mlopsproject.data.manifest import read_manifest
from mlopsproject.data.synthetic.recognise import is_shipped_sample, pixel_digest

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("folder", ["train_data", "drift_data"])
def test_the_tracked_sample_data_is_recognised_under_any_name(folder: str, tmp_path: Path) -> None:
    import_dataset(PROJECT / folder, "other", root=tmp_path, seed=7, size=16, workers=1, progress=False)
    assert is_shipped_sample(read_manifest(tmp_path / "other"))


def test_other_pictures_are_not_taken_for_the_sample() -> None:
    assert not is_shipped_sample(pa.table({"pixel_hash": ["a", "b"]}))


def test_the_digest_does_not_depend_on_the_order_of_rows() -> None:
    assert pixel_digest(pa.table({"pixel_hash": ["a", "b"]})) == pixel_digest(pa.table({"pixel_hash": ["b", "a"]}))
