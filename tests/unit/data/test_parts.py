"""Parts of the training images: everyone in exactly one, twins together, always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError
from mlopsproject.data.dataset import in_part, load_dataset, part_of


@given(groups=st.lists(st.integers(0, 40), max_size=200), count=st.integers(2, 7))
def test_parts_cover_all_images_once_and_part_no_group(groups: list[int], count: int) -> None:
    names = np.array(groups, np.int64)
    parts = np.array([in_part(names, number, count) for number in range(1, count + 1)])
    assert (parts.sum(axis=0) == 1).all()
    for group in set(groups):
        assert len(set(parts.argmax(axis=0)[names == group])) == 1


def test_parts_are_of_like_size_and_always_the_same() -> None:
    groups = np.arange(10_000)
    first = in_part(groups, 1, 3)
    assert first.sum() == pytest.approx(10_000 / 3, abs=1)
    assert (first == in_part(groups, 1, 3)).all()


def test_a_part_is_written_as_a_fraction() -> None:
    assert part_of("2/3") == (2, 3)
    for wrong in ("0/3", "4/3", "1/1", "1", "", "a/b", "1/3/5", "-1/3", None):
        with pytest.raises(ConfigError, match=r"data\.leave_out=.* is not a part"):
            part_of(wrong)


def test_validation_pictures_are_dealt_to_training_but_for_a_part(drawn_faces: Path) -> None:
    whole, *parts = (
        load_dataset("drawn", root=drawn_faces, size=16, validate_on=part, complete=False).splits
        for part in (None, "1/4", "2/4", "3/4", "4/4")
    )
    assert sorted(np.concatenate([part["validation"] for part in parts])) == whole["validation"].tolist()
    for part in parts:
        assert 0 < len(part["validation"]) < len(whole["validation"])
        everyone = np.concatenate([whole["train"], whole["validation"]])
        assert sorted([*part["train"], *part["validation"]]) == sorted(everyone)
        assert (part["test"] == whole["test"]).all()


def test_the_part_that_validates_is_the_same_whatever_the_classes(drawn_faces: Path) -> None:
    every, two = (
        load_dataset("drawn", root=drawn_faces, size=16, validate_on="1/4", classes=classes, complete=False)
        for classes in ("five", ["happy", "sad"])
    )
    chosen = {row for row in every.splits["validation"] if every.classes[every.labels[row]] in two.classes}
    assert chosen == set(two.splits["validation"])
    with pytest.raises(ConfigError, match=r"data\.validate_on=5/4 is not a part"):
        load_dataset("drawn", root=drawn_faces, size=16, validate_on="5/4")
