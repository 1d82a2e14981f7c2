"""The facts behind a data report survive the loss of what can be rebuilt, and name what cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlopsproject.core.errors import DataError
from mlopsproject.data.facts import dataset_facts, dataset_images
from mlopsproject.data.importer import import_dataset


@pytest.fixture
def folder(write_faces: Callable[..., Path], tmp_path: Path) -> Path:
    """The data set `faces`."""
    source = write_faces(["happy", "sad"], each=10)
    return import_dataset(source, "faces", root=tmp_path / "data", workers=1, progress=False).folder


def test_a_corrupt_cache_that_was_deleted_is_built_again(folder: Path) -> None:
    (cache,) = (folder / "cache").glob("*.npy")
    before, images = dataset_facts("faces", folder.parent), np.array(dataset_images("faces", folder.parent))
    cache.write_bytes(cache.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"is corrupt.*Delete it.*rebuilt from the source on the next run"):
        dataset_facts("faces", folder.parent)
    cache.unlink()
    assert dataset_facts("faces", folder.parent) == before
    np.testing.assert_array_equal(dataset_images("faces", folder.parent), images)


@pytest.mark.parametrize("content", [None, b"path,why\nx,y\n", b"path,reason,detail\n\xff,empty,\n"])
def test_a_missing_or_damaged_list_of_excluded_files_is_named(folder: Path, content: bytes | None) -> None:
    listed = folder / "excluded.csv"
    if content is None:
        listed.unlink()
    else:
        listed.write_bytes(content)
    with pytest.raises(DataError, match=r"excluded\.csv is missing or damaged.*import it again"):
        dataset_facts("faces", folder.parent)
