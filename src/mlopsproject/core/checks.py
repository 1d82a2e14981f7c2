"""Checks of single config values: each answers a wrong one with a line that names key, value and what to give."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mlopsproject.core.errors import ConfigError, nearest


def check_whole(key: str, value: object, *, lowest: int, optional: bool = False) -> None:
    """Refuse what is not a whole number of at least `lowest`.

    Args:
        key: of the config, for the message.
        value: as configured.
        lowest: possible value.
        optional: take `null` as well.

    Raises:
        ConfigError: for anything else.
    """
    if (optional and value is None) or (type(value) is int and value >= lowest):
        return
    or_null = ", or null" if optional else ""
    raise ConfigError(f"{key}={value} is not possible.", f"Give a whole number of at least {lowest}{or_null}.")


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
    raise ConfigError(f"{key}={value} is not possible.", f"Give a number {low}{high}{', or null' if optional else ''}.")


def check_flag(key: str, value: object) -> None:
    """Refuse what is neither true nor false.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value} is not possible.", "Give true or false.")


def check_choice(key: str, value: object, known: Iterable[str]) -> None:
    """Refuse a word that is not one of those known, and name the nearest.

    Raises:
        ConfigError: for anything else.
    """
    names = list(known)
    if value not in names:
        hint = nearest(str(value), names) or f"choose one of {', '.join(names)}."
        raise ConfigError(f"{key}={value!r} is not known;", hint)
