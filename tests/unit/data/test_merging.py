"""Imported data sets as one: nothing is lost, nothing leaks, and the first one's test images stay test images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlopsproject.core.errors import DataError
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.manifest import read_manifest
from mlopsproject.data.merging import merged_source
from mlopsproject.data.splits import SPLITS, extend_splits


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 12), st.sampled_from(["", "", "train", "validation", "test"])),
        min_size=1,
        max_size=80,
    ),
    st.integers(0, 5),
)
def test_kept_splits_stay_and_no_new_image_has_a_twin_in_another_split(
    images: list[tuple[int, int, str]], seed: int
) -> None:
    labels, group = (np.array([image[part] for image in images], np.int64) for part in (0, 1))
    kept = np.array([image[2] for image in images], "U10")
    result = extend_splits(labels, group, kept, seed)
    is_new = kept == ""
    assert (result[~is_new] == kept[~is_new]).all()
    assert set(result) <= set(SPLITS)
    for name in np.unique(group):
        members = group == name
        if not is_new[members].any():
            continue
        new = set(result[members & is_new])
        # All new twins are together, with the most protected of the old ones.
        assert len(new) == 1
        old = [split for split in ("test", "validation", "train") if split in kept[members & ~is_new]]
        if old:
            assert new == {old[0]}
    assert (extend_splits(labels, group, kept, seed) == result).all()


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """``draw(name, seed, count)`` imports a data set of noisy pictures, `count` of happy and sad each."""

    def make(name: str, seed: int, count: int = 20, copies: Path | None = None) -> Path:
        rng = np.random.default_rng(seed)
        for label in ("happy", "sad"):
            folder = tmp_path / "sources" / name / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (6, 6), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
                Image.fromarray(pixels).save(folder / f"{number}.png")
            for path in (copies / label).glob("*.png") if copies else ():
                (folder / f"copy-{path.name}").write_bytes(path.read_bytes())
        import_dataset(tmp_path / "sources" / name, name, root=tmp_path / "data", size=16, workers=1, progress=False)
        return tmp_path / "data" / name

    return make


def merge(folder: Path, *parts: Path, name: str = "both") -> Path:
    import_dataset(merged_source(parts), name, root=folder / "data", size=16, workers=1, progress=False)
    return folder / "data" / name


def splits_by_path(folder: Path) -> dict[str, str]:
    manifest = read_manifest(folder)
    return dict(zip(manifest.column("path").to_pylist(), manifest.column("split").to_pylist(), strict=True))


def test_every_image_of_both_is_there_and_the_first_keeps_its_splits(draw: Callable[..., Path], tmp_path: Path) -> None:
    old, new = draw("old", 0), draw("new", 1)
    both = splits_by_path(merge(tmp_path, old, new))
    assert len(both) == 80
    assert {path: both[f"old/{path}"] for path in splits_by_path(old)} == splits_by_path(old)
    drawn = Counter(split for path, split in both.items() if path.startswith("new/"))
    assert drawn == {"train": 32, "validation": 4, "test": 4}


def test_a_copy_of_a_test_image_is_never_trained_on(draw: Callable[..., Path], tmp_path: Path) -> None:
    old = draw("old", 0)
    new = draw("new", 1, copies=tmp_path / "sources" / "old")
    before, both = splits_by_path(old), splits_by_path(merge(tmp_path, old, new))
    for path, split in before.items():
        label, _, name = path.partition("/")
        assert both[f"new/{label}/copy-{name}"] == split
    manifest = read_manifest(tmp_path / "data" / "both")
    groups: dict[int, set[str]] = {}
    for group, split in zip(manifest.column("group").to_pylist(), manifest.column("split").to_pylist(), strict=True):
        groups.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in groups.values())


def test_a_merged_data_set_opens_at_any_size_from_both_sources(draw: Callable[..., Path], tmp_path: Path) -> None:
    merge(tmp_path, draw("old", 0), draw("new", 1))
    dataset = load_dataset("both", root=tmp_path / "data", classes=["happy", "sad"], size=24, workers=1, progress=False)
    assert dataset.images.shape == (80, 1, 24, 24)
    parts = [
        load_dataset(name, root=tmp_path / "data", classes=["happy", "sad"], size=24, workers=1, progress=False)
        for name in ("old", "new")
    ]
    assert (np.asarray(dataset.images) == np.concatenate([part.images for part in parts])).all()


def test_any_path_may_lead_to_the_data_sets(draw: Callable[..., Path], tmp_path: Path) -> None:
    draw("old", 0)
    draw("new", 1)
    place = tmp_path / "a+b, 50 % ä"
    (tmp_path / "data").rename(place)
    import_dataset(merged_source([place / "old", place / "new"]), "both", root=place, workers=1, progress=False)
    assert len(splits_by_path(place / "both")) == 80


def test_a_merged_data_set_can_be_merged_again(draw: Callable[..., Path], tmp_path: Path) -> None:
    first = merge(tmp_path, draw("old", 0), draw("new", 1))
    second = splits_by_path(merge(tmp_path, first, draw("newer", 2), name="all"))
    assert len(second) == 120
    assert {path: second[f"both/{path}"] for path in splits_by_path(first)} == splits_by_path(first)


def test_what_cannot_be_merged(draw: Callable[..., Path], tmp_path: Path) -> None:
    old = draw("old", 0)
    with pytest.raises(DataError, match="does not name several data sets"):
        merge(tmp_path, old)
    with pytest.raises(DataError, match="does not name several data sets"):
        merge(tmp_path, old, old)
    with pytest.raises(DataError, match="No data set 'nwe'"):
        merge(tmp_path, old, tmp_path / "data" / "nwe")
