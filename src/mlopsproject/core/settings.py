"""Reading settings from environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from mlopsproject.core.errors import ConfigError

_S = TypeVar("_S", bound=BaseSettings)


def read_settings(cls: type[_S], env_file: Path | str | None, **given: Any) -> _S:
    """Read the environment, and a file of `NAME=value` lines beneath it.

    Args:
        cls: the settings to read.
        env_file: need not exist.
        **given: values that stand above both.

    Raises:
        ConfigError: naming the variable that has an impossible value.
    """
    try:
        return cls(_env_file=env_file, **given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name} is not possible: {first['msg'].removeprefix('Value error, ')}.") from None
