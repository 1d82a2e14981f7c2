"""Reads settings from environment variables and an env file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from mlopsproject.core.errors import ConfigError

_S = TypeVar("_S", bound=BaseSettings)


def read_settings(cls: type[_S], env_file: Path | str | None, **given: Any) -> _S:
    """Read settings from the environment and, with lower priority, from a file of `NAME=value` lines.

    Args:
        cls: class of the settings.
        env_file: the file; need not exist.
        **given: values with priority over both.

    Raises:
        ConfigError: naming the variable that has an impossible value.
    """
    try:
        return cls(_env_file=env_file, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name} is not possible: {first['msg'].removeprefix('Value error, ')}.") from None
