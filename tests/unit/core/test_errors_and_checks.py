"""What a user reads: one line, printable, with the value as given and what would be right."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from mlopsproject.core.checks import check_choice, check_flag, check_number, check_whole
from mlopsproject.core.errors import ConfigError, UserError, first_line
from mlopsproject.core.files import is_disk_full


def test_the_first_line_of_an_error_is_never_empty() -> None:
    assert first_line(ValueError("\nbroken\nand so on")) == "broken"
    assert first_line(AssertionError()) == "AssertionError"


def test_what_is_left_of_odd_file_names_can_be_printed() -> None:
    assert str(UserError("no \udcff.png", "rename \udcfe")) == r"no \udcff.png rename \udcfe"


@pytest.mark.parametrize("value", [0, 7])
def test_whole_numbers_within_the_range_pass(value: int) -> None:
    check_whole("key", value, lowest=0, highest=7)


@pytest.mark.parametrize("value", [-1, 8, 1.0, True, "3", None])
def test_other_whole_numbers_are_named_with_the_range(value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"key={value!r} is not possible\. Give a whole number from 0 to 7\.$"):
        check_whole("key", value, lowest=0, highest=7)
    with pytest.raises(ConfigError, match=rf"key={value!r} is not possible\. Give a whole number of at least 9\.$"):
        check_whole("key", value, lowest=9)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Give a number of at least 0\.$"):
        check_number("key", value)


def test_open_ends_are_left_out() -> None:
    check_number("key", 0.5, highest=1, open_ends=True)
    for value in (0, 1):
        with pytest.raises(ConfigError, match=r"above 0 and below 1\.$"):
            check_number("key", value, highest=1, open_ends=True)


@pytest.mark.parametrize("value", [1, "true", None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    check_flag("key", value=True)
    with pytest.raises(ConfigError, match=r"Give true or false\."):
        check_flag("key", value)


def test_an_unknown_word_names_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"^key='bluw' is unknown; did you mean 'blue'\? Known: red, blue\.$"):
        check_choice("key", "bluw", ("red", "blue"))
    with pytest.raises(ConfigError, match=r"^key=3 is unknown\. Known: red, blue\.$"):
        check_choice("key", 3, ("red", "blue"))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.EDQUOT, "quota"), True),
        (OSError("[Errno 28] Error writing bytes. Detail: No space left on device"), True),
        (OSError(errno.EACCES, "denied"), False),
        (ValueError("No space left"), False),
    ],
)
def test_a_full_disk_is_recognised(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full
