"""Checks of single config values: each answers a wrong one with a line that names key, value and what to give."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlopsproject.core.errors import ConfigError, nearest


def check_whole(key: str, value: object, *, lowest: int, highest: int | None = None, optional: bool = False) -> None:
    """Refuse what is not a whole number within a range.

    Args:
        key: of the config, for the message.
        value: as configured.
        lowest: possible value.
        highest: possible value, if there is one.
        optional: take `null` as well.

    Raises:
        ConfigError: for anything else.
    """
    if optional and value is None:
        return
    # Not isinstance: True is an int, but counts nothing.
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
    """Refuse what is not a finite number within a range.

    Args:
        key: of the config, for the message.
        value: as configured.
        lowest: end of the range.
        highest: end of the range.
        open_ends: leave the ends themselves out.
        optional: take `null` as well.

    Raises:
        ConfigError: for anything else.
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
    """Refuse what is neither true nor false.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value!r} is not possible.", "Give true or false.")


def check_text(key: str, value: object) -> None:
    """Refuse what is no text, or an empty one.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key}={value!r} is not possible.", "Give a name or a path.")


def check_channels(key: str, value: object) -> None:
    """Refuse what is neither gray nor colour.

    Raises:
        ConfigError: for anything but 1 and 3.
    """
    # Not `in (1, 3)` alone: 1.0 and True equal 1, but count no channels.
    if type(value) is not int or value not in (1, 3):
        raise ConfigError(f"{key}={value!r} is not possible.", "Give 1 (gray) or 3 (colour).")


def check_choice(key: str, value: object, known: Iterable[str]) -> None:
    """Refuse a word that is not one of those known: name the nearest, and all.

    Raises:
        ConfigError: for anything else.
    """
    names = list(known)
    if value not in names:
        hint = nearest(str(value), names)
        raise ConfigError(f"{key}={value!r} is unknown{'; ' + hint if hint else '.'}", f"Known: {', '.join(names)}.")
