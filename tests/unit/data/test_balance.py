from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError
from mlopsproject.data.balance import epoch_indices

LABELS = np.repeat([0, 1, 2], [1000, 100, 10])


def test_none_gives_every_image_once() -> None:
    plan = epoch_indices(LABELS, "none", rng=np.random.default_rng(0))
    assert sorted(plan) == list(range(len(LABELS)))
    assert plan.tolist() != sorted(plan)


def test_weighted_draws_every_class_equally_often() -> None:
    plan = epoch_indices(LABELS, "weighted", rng=np.random.default_rng(0))
    assert len(plan) == len(LABELS)
    np.testing.assert_allclose(np.bincount(LABELS[plan]) / len(plan), 1 / 3, atol=0.05)


@given(per_class=st.integers(1, 400), seed=st.integers(0, 100))
def test_fixed_brings_every_class_to_n_using_its_images_evenly(per_class: int, seed: int) -> None:
    plan = epoch_indices(LABELS, "fixed", per_class=per_class, rng=np.random.default_rng(seed))
    assert np.bincount(LABELS[plan]).tolist() == [per_class] * 3
    uses = np.bincount(plan, minlength=len(LABELS))
    for label in range(3):
        mine = uses[label == LABELS]
        assert mine.max() - mine.min() <= 1


def test_sub_sampling_takes_other_images_each_epoch() -> None:
    rng = np.random.default_rng(0)
    first, second = (set(epoch_indices(LABELS, "fixed", per_class=50, rng=rng)) for _ in range(2))
    assert first != second


def test_same_generator_state_same_plan() -> None:
    for strategy in ("none", "weighted", "fixed"):
        plans = [epoch_indices(LABELS, strategy, per_class=20, rng=np.random.default_rng(7)) for _ in range(2)]
        np.testing.assert_array_equal(*plans)


@pytest.mark.parametrize(
    ("strategy", "per_class", "message"),
    [
        ("fixed", None, "data.per_class=None"),
        ("fixed", 0, "data.per_class=0"),
        ("weigthed", None, "did you mean 'weighted'"),
    ],
)
def test_wrong_settings_say_what_to_write(strategy: str, per_class: int | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        epoch_indices(LABELS, strategy, per_class=per_class, rng=np.random.default_rng(0))
