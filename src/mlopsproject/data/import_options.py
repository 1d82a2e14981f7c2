"""What an import may be asked for: every option is checked before any work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, get_args

from mlopsproject.core.checks import check_channels, check_choice, check_number, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data.assemble import CONFLICT_POLICIES
from mlopsproject.data.duplicates import TWIN_SEARCHES
from mlopsproject.data.splits import SPLIT_METHODS

_CHOICES: Final[dict[str, Sequence[str]]] = {
    "split": SPLIT_METHODS,
    "conflicts": CONFLICT_POLICIES,
    "twins": TWIN_SEARCHES,
    "resize_filter": get_args(ResizeFilter),
}
#: Whole numbers: the lowest, and the highest if there is one.
_NUMBERS: Final[dict[str, tuple[int, int | None]]] = {
    "size": (8, 1024),
    "min_size": (0, None),
    "max_pixels": (1, None),
    "seed": (0, None),
    "workers": (1, None),
}


def check_name(name: str) -> None:
    """Check that a data set can have this name.

    Raises:
        ConfigError: if not.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigError(
            f"name={name!r} cannot name a data set.", "Use letters, digits, dots, dashes and underscores."
        )


def check_options(**options: Any) -> None:
    """Check the values of an import's options.

    Args:
        options: any of `split`, `conflicts`, `twins`, `twin_correlation`, `resize_filter`, `size`, `min_size`,
            `max_pixels`, `seed`, `workers` and `channels`.

    Raises:
        ConfigError: for a value that is not possible; names the key, the value and what is.
    """
    for key, value in options.items():
        if key in _CHOICES:
            check_choice(key, value, _CHOICES[key])
        elif key in _NUMBERS:
            lowest, highest = _NUMBERS[key]
            check_whole(key, value, lowest=lowest, highest=highest, optional=key == "workers")
        elif key == "twin_correlation":
            check_number(key, value, lowest=0.5, highest=1.0)
        elif key == "channels":
            check_channels(key, value)
        else:
            raise TypeError(f"no option {key!r}")
