"""The reference of the HTTP API, from the OpenAPI document that the API itself serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from textwrap import indent
from typing import Any, Final

from markdown_tables import table
from pydantic import SecretStr

from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.prediction_log.settings import LogSettings

Node = Mapping[str, Any]
#: Stands for a key, so that the document says where one is asked for.
_KEY: Final = SecretStr("any")


@cache
def document() -> Node:
    """The OpenAPI document of an API with a key, whatever the environment says."""
    settings = ApiSettings.model_construct(**{**_defaults(ApiSettings), "api_key": _KEY})
    return create_app(settings, LogSettings.model_construct(**_defaults(LogSettings))).openapi()


def page() -> str:
    """The whole reference, as Markdown."""
    paths = document()["paths"]
    parts = []
    for tag in document()["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}")
        for path, item in paths.items():
            parts += [_operation(verb, path, each) for verb, each in item.items() if tag["name"] in each["tags"]]
    parts.append("## Schemas\n\nFields of the JSON documents above.")
    parts += [_schema(name, schema) for name, schema in document()["components"]["schemas"].items()]
    return "\n\n".join(parts)


def _defaults(settings: Any) -> dict[str, Any]:
    return {name: field.default for name, field in settings.model_fields.items()}


def _operation(verb: str, path: str, operation: Node) -> str:
    parts = [f"### `{verb.upper()} {path}`", operation["description"]]
    if operation.get("security"):
        parts.append("Where the API has a key: header `X-API-Key`.")
    if parameters := operation.get("parameters"):
        rows = [
            [
                f"`{each['name']}`",
                each["in"],
                _type(each["schema"]),
                _needed(each.get("required", False), each),
                _says(each),
            ]
            for each in parameters
        ]
        parts.append(table(["parameter", "in", "type", "", "meaning"], rows))
    if body := operation.get("requestBody"):
        parts += [_body(media, content["schema"]) for media, content in body["content"].items()]
    parts.append(_responses(operation["responses"]))
    if example := _example(operation["responses"]):
        parts.append(indent(f'??? example "An answer"\n```json\n{example}\n```', "    ").removeprefix("    "))
    return "\n\n".join(part for part in parts if part)


def _body(media: str, schema: Node) -> str:
    if "$ref" in schema:
        return f"Body, `{media}`: {_type(schema)}"
    return f"Body, `{media}`:\n\n{_fields(schema)}"


def _responses(responses: Node) -> str:
    rows = []
    for status, response in responses.items():
        content = response.get("content", {})
        bodies = [f"`{media}` {_type(each.get('schema', {}))}".strip() for media, each in content.items()]
        rows.append([status, response["description"], ", ".join(bodies)])
    return table(["status", "when", "body"], rows)


def _example(responses: Node) -> str:
    content = responses["200"].get("content", {}).get("application/json", {})
    return json.dumps(content["example"], indent=2, ensure_ascii=False) if "example" in content else ""


def _schema(name: str, schema: Node) -> str:
    heading = f"### {name}"
    said = schema.get("description", "")
    return "\n\n".join(part for part in (heading, said, _fields(schema)) if part)


def _fields(schema: Node) -> str:
    required = schema.get("required", [])
    rows = [
        [f"`{name}`", _type(each), _needed(name in required, each), _says(each)]
        for name, each in schema.get("properties", {}).items()
    ]
    return table(["field", "type", "", "meaning"], rows) if rows else ""


def _needed(required: bool, schema: Node) -> str:
    default = schema.get("default", schema.get("schema", {}).get("default"))
    if required:
        return "required"
    return f"default `{json.dumps(default)}`" if default is not None else ""


def _says(schema: Node) -> str:
    said = (each.get("description") for each in (schema, schema.get("schema", {}), schema.get("items", {})))
    return next((text for text in said if text), "")


def _type(schema: Node) -> str:
    """The type of a schema in a few words, with links to named ones."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", ""))
    if "prefixItems" in schema:
        return f"[{', '.join(_type(each) for each in schema['prefixItems'])}]"
    if kind == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return " ".join(part for part in (kind, _range(schema)) if part)


def _range(schema: Node) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "minLength": "length ≥", "maxLength": "length ≤"}
    said = [str(schema["format"])] if "format" in schema else []
    said += [f"{sign} {schema[name]:g}" for name, sign in signs.items() if name in schema]
    return f"({', '.join(said)})" if said else ""
