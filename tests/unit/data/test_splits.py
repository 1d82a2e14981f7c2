from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.splits import assign_splits


def straddling(splits: np.ndarray, group: np.ndarray) -> list[int]:
    return [number for number in np.unique(group) if len(set(splits[group == number])) > 1]


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_groups_never_straddle_and_everything_is_assigned(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 200))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    labels, group = rng.integers(0, 4, size), rng.integers(0, data.draw(st.integers(1, size)), size)
    splits = assign_splits("grouped", labels, group, [""] * size, seed=1)
    assert straddling(splits, group) == []
    assert set(splits) <= {"train", "validation", "test"}


def test_shares_are_80_10_10_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [1000, 300, 50])
    group = np.arange(1350)
    group[:400] //= 2  # two hundred pairs
    splits = assign_splits("grouped", labels, group, [""] * 1350, seed=3)
    for label, count in ((0, 1000), (1, 300), (2, 50)):
        shares = [np.mean(splits[labels == label] == name) for name in ("train", "validation", "test")]
        np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=2 / count)


def test_a_set_stored_twice_still_splits_80_10_10() -> None:
    group = np.tile(np.arange(500), 2)
    splits = assign_splits("grouped", np.zeros(1000, int), group, [""] * 1000, seed=0)
    assert [int((splits == name).sum()) for name in ("train", "validation", "test")] == [800, 100, 100]


def test_same_seed_same_split_other_seed_other_split() -> None:
    labels, group = np.zeros(100, int), np.arange(100)
    one, again, other = (assign_splits("grouped", labels, group, [""] * 100, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_three_images_of_a_class_give_one_to_each_split() -> None:
    assert sorted(assign_splits("grouped", np.zeros(3, int), np.arange(3), [""] * 3, 0)) == [
        "test",
        "train",
        "validation",
    ]


PUBLISHED = ["train"] * 100 + ["validation"] * 20 + ["test"] * 20


def test_official_with_three_splits_stays_as_published() -> None:
    labels, group = np.zeros(140, int), np.arange(140)
    assert assign_splits("official", labels, group, PUBLISHED, 0).tolist() == PUBLISHED


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_official_with_two_splits_tests_on_the_second_and_validates_on_a_grouped_tenth_of_train(held_out: str) -> None:
    published = np.array(["train"] * 100 + [held_out] * 20)
    group = np.concatenate([np.repeat(np.arange(50), 2), np.arange(100, 120)])
    splits = assign_splits("official", np.zeros(120, int), group, published, 0)
    assert (splits[100:] == "test").all()
    assert int((splits[:100] == "validation").sum()) == 10
    assert straddling(splits, group) == []


def test_twins_of_the_published_test_stay_in_train_where_they_can_be_dropped() -> None:
    published = ["train"] * 50 + ["test"] * 50
    group = np.concatenate([np.arange(50), np.arange(50)])
    group[:20] += 1000
    splits = assign_splits("official", np.zeros(100, int), group, published, 0)
    assert set(splits[20:50]) == {"train"}
    assert set(splits[:20]) == {"train", "validation"}


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (["", ""], "found: none"),
        (["train", "train"], "found: train"),
        (["validation", "test"], "found: test, validation"),
        (["train", "test", ""], "1 pictures lie outside"),
    ],
)
def test_official_without_published_splits_says_to_use_grouped(published: list[str], message: str) -> None:
    count = len(published)
    with pytest.raises(DataError, match=rf"{message}.*Use split=grouped"):
        assign_splits("official", np.zeros(count, int), np.arange(count), published, 0)


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'grouped'"):
        assign_splits("gruoped", np.zeros(1, int), np.zeros(1, int), [""], 0)
