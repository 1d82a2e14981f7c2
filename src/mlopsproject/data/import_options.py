"""What an import may be asked for: every option is checked before any work."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from mlopsproject.core.checks import check_channels, check_choice, check_number, check_whole
from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data.assemble import CONFLICT_POLICIES
from mlopsproject.data.duplicates import MIN_CORRELATION, TWIN_SEARCHES
from mlopsproject.data.limits import USUAL_LIMITS
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
    **dict.fromkeys(asdict(USUAL_LIMITS), (1, None)),
}


#: What an import does unless told otherwise; the cache's size, channels and filter are not part of the data set.
DEFAULTS: Final[dict[str, Any]] = {
    "split": "grouped",
    "conflicts": "drop",
    "twins": "hashes",
    "twin_correlation": MIN_CORRELATION,
    "min_size": 16,
    "seed": 42,
    **asdict(USUAL_LIMITS),
}


def import_command(info: Mapping[str, Any]) -> str:
    """The command that imports a data set again, with the file name of its source instead of the whole path.

    Args:
        info: content of `import.json`.

    Returns:
        The command; empty for a folder of the data set's own name with the usual options, which jobs import by
        themselves.
    """
    given, options = str(info["source"]["given"]), dict(info["options"])
    changes = {key: options[key] for key, usual in DEFAULTS.items() if options.get(key, usual) != usual}
    if options.get("own_classes"):
        changes["classes"] = f"[{','.join(options['own_classes'])}]"
    if options.get("votes"):
        changes["votes"] = Path(options["votes"]).name
    for key in ("label_map", "votes_map"):
        if options.get(key):
            changes[key] = _pairs(options[key])
    if given == info["name"] and not changes:
        return ""
    source = given if ":" in given else Path(given).name
    overrides = {"source": source, "name": info["name"], **changes}
    return job_command("import-data", *(f"{key}={value}" for key, value in overrides.items()))


def _pairs(pairs: Mapping[str, str | None]) -> str:
    """Write a `label_map` as an override has it, if its labels allow that, else as JSON, which is YAML, too."""
    if all(re.fullmatch(r"[\w.-]+", key) for key in pairs):
        return "{" + ", ".join(f"{key}: {target or 'null'}" for key, target in pairs.items()) + "}"
    return json.dumps(pairs, ensure_ascii=False)


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
            `max_pixels`, `seed`, `workers`, `channels` and the `Limits`.

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
            check_number(key, value, lowest=0.8, highest=1.0)
        elif key == "channels":
            check_channels(key, value)
        else:
            raise TypeError(f"no option {key!r}")
