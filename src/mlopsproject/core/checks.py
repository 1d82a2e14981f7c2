"""Checks of single config values; errors name the key, the value and the allowed values."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlopsproject.core.errors import ConfigError, nearest


def check_whole(key: str, value: object, *, lowest: int, highest: int | None = None, optional: bool = False) -> None:
    """Check that a value is an integer within a range.

    Args:
        key: config key, for the message.
        value: as configured.
        lowest: smallest allowed value.
        highest: largest allowed value; `None` for no limit.
        optional: allow `null` as well.

    Raises:
        ConfigError: for any other value.
    """
    if optional and value is None:
        return
    # Not isinstance: True and False are instances of int.
    if type(value) is int and value >= lowest and (highest is None or value <= highest):
        return
    allowed = f"of at least {lowest}" if highest is None else f"from {lowest} to {highest}"
    raise ConfigError(
        f"{key}={value!r} is not possible.", f"Give a whole number {allowed}{', or null' if optional else ''}."
    )


def check_number(
    key: str,
    value: object,
    *,
    lowest: float = 0.0,
    highest: float = math.inf,
    open_ends: bool = False,
    optional: bool = False,
) -> None:
    """Check that a value is a finite number within a range.

    Args:
        key: config key, for the message.
        value: as configured.
        lowest: lower end of the range.
        highest: upper end of the range.
        open_ends: exclude both ends.
        optional: allow `null` as well.

    Raises:
        ConfigError: for any other value.
    """
    if optional and value is None:
        return
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        inside = lowest < value < highest if open_ends else lowest <= value <= highest
        if inside:
            return
    low = f"above {lowest:g}" if open_ends else f"of at least {lowest:g}"
    high = "" if highest == math.inf else f" and {'below' if open_ends else 'at most'} {highest:g}"
    raise ConfigError(
        f"{key}={value!r} is not possible.", f"Give a number {low}{high}{', or null' if optional else ''}."
    )


def check_flag(key: str, value: object) -> None:
    """Check that a value is true or false.

    Raises:
        ConfigError: for any other value.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value!r} is not possible.", "Give true or false.")


def check_text(key: str, value: object) -> None:
    """Check that a value is a non-empty string.

    Raises:
        ConfigError: for any other value.
    """
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key}={value!r} is not possible.", "Give a name or a path.")


def check_channels(key: str, value: object) -> None:
    """Check that a number of channels is 1 (gray) or 3 (colour).

    Raises:
        ConfigError: for any other value.
    """
    # `in (1, 3)` alone would accept 1.0 and True, which equal 1.
    if type(value) is not int or value not in (1, 3):
        raise ConfigError(f"{key}={value!r} is not possible.", "Give 1 (gray) or 3 (colour).")


def check_choice(key: str, value: object, known: Iterable[str]) -> None:
    """Check that a value is one of the known words.

    Raises:
        ConfigError: for any other value, naming the nearest known word and all of them.
    """
    names = list(known)
    if value not in names:
        hint = nearest(str(value), names)
        raise ConfigError(f"{key}={value!r} is unknown{'; ' + hint if hint else '.'}", f"Known: {', '.join(names)}.")
