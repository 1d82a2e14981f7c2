"""Reads settings from environment variables and an env file."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
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


def take_no_arguments(program: str, summary: str, *settings: type[BaseSettings]) -> None:
    """Answer `--help` with the environment variables that a program reads, and refuse every other argument.

    Args:
        program: as it is called on the command line.
        summary: what it does, in a sentence.
        *settings: whose docstrings say what each field is, under `Attributes:`.
    """
    lines = [line for cls in settings for line in _variables(cls)]
    width = max(len(name) for name, _ in lines) + 4
    parser = argparse.ArgumentParser(
        program,
        usage=f"[VARIABLE=value ...] {program} [--help]",
        description=summary,
        epilog="environment variables, also read from .env:\n" + "\n".join(f"  {a:<{width - 2}}{b}" for a, b in lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()


def _variables(settings: type[BaseSettings]) -> Iterator[tuple[str, str]]:
    """`NAME=default` and the meaning of each field."""
    said = (inspect.getdoc(settings) or "").partition("Attributes:")[2]
    meanings = {
        name: " ".join(text.split()) for name, text in re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", said, re.M)
    }
    for name, field in settings.model_fields.items():
        default = field.get_default()
        shown = "" if default is None else ",".join(default) if isinstance(default, tuple) else default
        yield f"{name.upper()}={shown}", meanings[name]
