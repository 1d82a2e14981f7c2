"""Parts of the training images: everyone in exactly one, twins together, always the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError
from mlopsproject.data.dataset import in_part, part_of


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
