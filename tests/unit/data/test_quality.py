"""Limits that a data set has to keep."""

from __future__ import annotations

from typing import Any

import pytest

from mlopsproject.core.errors import ConfigError
from mlopsproject.data.quality import check_limits, failed_checks

OFF: dict[str, Any] = {"max_left_out": None, "max_conflicts": None, "min_per_class": None}
FACTS: dict[str, Any] = {
    "files": 100,
    "rows": 90,
    "excluded": {"truncated": 7, "too_small": 3},
    "conflicts": {"images": 9},
    "class_balance": {
        "train": {"happy": 40, "sad": 30},
        "validation": {"happy": 5, "sad": 5},
        "test": {"happy": 10},
        "dropped": {"sad": 0},
    },
}


def test_nothing_is_asked_by_default() -> None:
    assert failed_checks(FACTS, OFF) == []


@pytest.mark.parametrize(("key", "kept", "broken"), [("max_left_out", 0.1, 0.09), ("max_conflicts", 0.1, 0.09)])
def test_a_share_may_reach_its_limit_and_no_more(key: str, kept: float, broken: float) -> None:
    assert failed_checks(FACTS, OFF | {key: kept}) == []
    (sentence,) = failed_checks(FACTS, OFF | {key: broken})
    assert sentence.endswith(f"10.0 %, at most 9 % may (checks.{key}).")


def test_a_class_that_a_split_lacks_has_no_images_there() -> None:
    assert failed_checks(FACTS, OFF | {"min_per_class": 0}) == []
    (sentence,) = failed_checks(FACTS, OFF | {"min_per_class": 6})
    assert sentence == (
        "Too few images: happy 5 in validation, sad 5 in validation, sad 0 in test; "
        "at least 6 are needed (checks.min_per_class)."
    )


@pytest.mark.parametrize("change", [{"max_left_out": 1.5}, {"max_conflicts": -0.1}, {"min_per_class": 1.5}])
def test_limits_that_are_not_possible_are_refused(change: dict[str, Any]) -> None:
    check_limits(OFF)
    with pytest.raises(ConfigError, match=f"checks.{next(iter(change))}"):
        check_limits(OFF | change)
