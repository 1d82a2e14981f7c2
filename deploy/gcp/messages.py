"""The files of this folder: filled with variables and parsed into Google's own message types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Final, TypeVar

import proto
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from mlopsproject.core.errors import ConfigError

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]

_M = TypeVar("_M", bound=proto.Message)


def variables(given: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What stands for the `${NAME}` of the files.

    Args:
        given: on the command line.
        environment: taken where the command line says nothing.

    Returns:
        Every variable that is known; `BUCKET` and `REPOSITORY` have defaults, `IMAGES` follows from the others.
    """
    known = {name: value for name, value in {**environment, **given}.items() if value}
    known.setdefault("REPOSITORY", "mlopsproject")
    if "PROJECT" in known:
        known.setdefault("BUCKET", f"{known['PROJECT']}-mlopsproject")
    if {"PROJECT", "REGION"} <= known.keys():
        known["IMAGES"] = f"{known['REGION']}-docker.pkg.dev/{known['PROJECT']}/{known['REPOSITORY']}"
    return known


def fill(text: str, known: Mapping[str, str], where: str) -> str:
    """Put variables into a text; `$$` is a dollar sign.

    Args:
        text: with `${NAME}`.
        known: values by name.
        where: what the text is, for errors.

    Raises:
        ConfigError: for a variable without a value, or a lone dollar sign.
    """
    try:
        return Template(text).substitute(known)
    except KeyError as error:
        name = _cause(str(error.args[0]), known)
        raise ConfigError(
            f"{where} needs {name}, which has no value.", f"Set it in the environment, or give --set {name}=VALUE."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.", "Write $$ for a dollar sign.") from None


def _cause(missing: str, known: Mapping[str, str]) -> str:
    """The variable to set, of those that a missing one follows from."""
    causes = {"BUCKET": ("PROJECT",), "IMAGES": ("PROJECT", "REGION")}.get(missing, ())
    return next((name for name in causes if name not in known), missing)


def read(path: Path, kind: type[_M], known: Mapping[str, str]) -> _M:
    """Read a file of this folder.

    Args:
        path: YAML with the fields of a message, in the names of its JSON form.
        kind: the message's type.
        known: values of its variables.

    Raises:
        ConfigError: for a variable without a value, and for a field or value that the type does not have.
    """
    where = path.relative_to(ROOT).as_posix()
    return parse(yaml.safe_load(fill(path.read_text(encoding="utf-8"), known, where)), kind, where)


def parse(fields: Any, kind: type[_M], where: str) -> _M:
    """Make a message of its JSON form, with no field that its type does not have.

    Raises:
        ConfigError: naming the field.
    """
    message = kind()
    try:
        ParseDict(fields, kind.pb(message), ignore_unknown_fields=False)
    except ParseError as error:
        raise ConfigError(f"{where} is no {kind.pb(message).DESCRIPTOR.full_name}: {error}") from None
    return message


def as_yaml(message: proto.Message) -> str:
    """A message as a person reads it, in the names of its JSON form."""
    fields = MessageToDict(type(message).pb(message))
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)
