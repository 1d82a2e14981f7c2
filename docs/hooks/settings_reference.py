"""The reference of the environment settings, from the classes that read them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin

import annotated_types
from griffe import Docstring, DocstringSectionKind
from markdown_tables import table
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from mlopsproject.api.settings import ApiSettings
from mlopsproject.aws.settings import LambdaSettings
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.prediction_log.settings import LogSettings

#: Headings and what is read there.
CLASSES: Final[dict[str, type[BaseSettings]]] = {
    "API": ApiSettings,
    "Prediction log": LogSettings,
    "Frontend": FrontendSettings,
    "AWS Lambda": LambdaSettings,
}


def page() -> str:
    """The whole reference, as Markdown."""
    return "\n".join(f"## {title}\n\n{_table(settings)}" for title, settings in CLASSES.items())


def meanings(settings: type[BaseSettings]) -> dict[str, str]:
    """What the docstring of a class says of each field.

    Args:
        settings: with a section `Attributes`.
    """
    parsed = Docstring(inspect.getdoc(settings) or "").parse("google", warnings=False)
    attributes = [section for section in parsed if section.kind is DocstringSectionKind.attributes]
    return {item.name: _in_capitals(item.description) for section in attributes for item in section.value}


def _table(settings: type[BaseSettings]) -> str:
    said = meanings(settings)
    rows = [
        [f"`{name.upper()}`", _default(field.default), _possible(field), said[name]]
        for name, field in settings.model_fields.items()
    ]
    return table(["variable", "default", "possible", "meaning"], rows)


def _in_capitals(text: str) -> str:
    """Settings that are named in a text, as variables of the environment."""
    fields = {name for settings in CLASSES.values() for name in settings.model_fields}
    return re.sub(r"`(\w+)`", lambda found: found[0].upper() if found[1] in fields else found[0], text)


def _default(value: Any) -> str:
    return "" if value in (None, "", ()) else f"`{value}`"


def _possible(field: FieldInfo) -> str:
    """Named values, or the range of a number."""
    if named := list(_named(field.annotation)):
        return ", ".join(f"`{value}`" for value in named)
    signs = {annotated_types.Ge: "≥", annotated_types.Gt: ">", annotated_types.Le: "≤"}
    bounds = [
        f"{sign} {getattr(bound, kind.__name__.lower()):,}"
        for bound in field.metadata
        for kind, sign in signs.items()
        if isinstance(bound, kind)
    ]
    return ", ".join(bounds)


def _named(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for part in get_args(annotation):
            yield from _named(part)
