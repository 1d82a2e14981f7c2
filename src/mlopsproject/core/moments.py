"""Parsing of dates and times that users give."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from mlopsproject.core.errors import ConfigError

_AGO: Final = re.compile(r"(?P<number>\d{1,6})(?P<unit>[dhm])")
#: Limits of times, a day within what databases and time zones can represent.
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(2999, 12, 31, tzinfo=UTC)
_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


def as_utc(moment: datetime) -> datetime:
    """Convert a time to UTC (assumed if it has no time zone), clamped to the years 1970 to 2999."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment, _EARLIEST), _LATEST).astimezone(UTC)


def parse_moment(key: str, value: object) -> datetime | None:
    """Parse a date, a time or an age; without a time zone it is in UTC.

    Args:
        key: config key, for the message.
        value: such as `2026-01-31`, `2026-01-31T12:00:00+01:00`, `7d` for seven days ago (`d`, `h` or `m`), or `None`.

    Raises:
        ConfigError: for any other value.
    """
    if value is None:
        return None
    ago = _AGO.fullmatch(str(value))
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago["unit"]]: int(ago["number"])})
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError) as error:
        fix = "Give a date such as 2026-01-31, a time such as 2026-01-31T12:00:00+01:00, or 7d for seven days ago."
        raise ConfigError(f"{key}={value} is not possible.", fix) from error
    return as_utc(moment)
