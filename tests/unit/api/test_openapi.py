"""The OpenAPI document: valid, with examples, and with every error as a problem."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlopsproject.core.schemas import Problem

ROUTES = {
    ("post", "/predict/"): {200, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    ("post", "/predict/batch"): {200, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    ("post", "/predict/url"): {200, 400, 401, 408, 413, 415, 422, 429, 500, 502, 503},
    ("post", "/explain"): {200, 400, 401, 408, 413, 415, 422, 429, 500, 503},
    ("post", "/feedback"): {200, 400, 401, 404, 408, 413, 422, 429, 500, 503},
    ("get", "/"): {200, 500, 503},
    ("get", "/health"): {200, 500},
    ("get", "/ready"): {200, 500, 503},
    ("get", "/model"): {200, 401, 429, 500, 503},
    ("get", "/stats"): {200, 401, 404, 422, 429, 500, 503},
    ("get", "/drift"): {200, 401, 404, 429, 500, 503},
    ("get", "/drift/history"): {200, 401, 422, 429, 500, 503},
    ("get", "/drift/{identifier}/report"): {200, 401, 404, 422, 429, 500, 503},
    ("get", "/drift/{identifier}/picture"): {200, 401, 404, 422, 429, 500, 503},
    ("get", "/metrics"): {200, 500},
}


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    return {(method, path): each for path, item in document["paths"].items() for method, each in item.items()}


def test_every_route_is_there_with_every_status(document):
    found = {key: {int(code) for code in each["responses"]} for key, each in operations(document).items()}
    assert found == ROUTES


def test_every_route_is_described(document):
    tags = {tag["name"] for tag in document["tags"]}
    for key, each in operations(document).items():
        assert each["summary"], key
        assert each["description"], key
        assert set(each["tags"]) <= tags, key


def test_every_error_is_a_problem_with_an_example(document):
    for (_, path), each in operations(document).items():
        for code, response in each["responses"].items():
            assert "X-Request-ID" in response["headers"]
            if int(code) < 400 or (path, code) == ("/ready", "503"):
                continue
            assert list(response["content"]) == ["application/problem+json"]
            content = response["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert Problem.model_validate(content["example"]).status == int(code)
            assert ("Retry-After" in response["headers"]) == (code in ("429", "503"))


def test_the_picture_is_a_required_file(document):
    for path in ("/predict/", "/explain"):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["required"] == ["data"]
        assert schema["properties"]["data"]["contentMediaType"] == "application/octet-stream"
        assert schema["properties"]["face"]["enum"] == ["auto", "all", "none"]
    batch = document["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert batch["properties"]["data"]["type"] == "array"


def test_answers_have_an_example_that_fits_their_schema(document):
    from jsonschema import Draft202012Validator

    content = document["paths"]["/predict/"]["post"]["responses"]["200"]["content"]["application/json"]
    (example,) = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]["examples"]
    Draft202012Validator(document | content["schema"]).validate(example)


def test_it_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    names = set(document["components"]["schemas"])
    references = set(_references(document))
    assert references <= {f"#/components/schemas/{name}" for name in names}
    assert "HTTPValidationError" not in names


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_the_key_is_documented_where_it_is_needed(serve):
    document = serve(api_key="kX7pQ2mN9vR4tY6wZ8aB", log_durability="off").get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    guarded = {path for (_, path), each in operations(document).items() if each.get("security")}
    assert guarded == {path for _, path in ROUTES} - {"/", "/health", "/ready", "/metrics"}


def test_without_a_key_none_is_documented(document):
    assert "securitySchemes" not in document["components"]


@pytest.mark.parametrize("root_path", ["", "/faces"])
def test_the_page_needs_no_other_machine_and_no_key(serve, root_path):
    client = serve(api_key="kX7pQ2mN9vR4tY6wZ8aB", root_path=root_path, log_durability="off")
    page = client.get(f"{root_path}/docs")
    assert page.status_code == 200
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [Path(file).suffix for file in files] == [".css", ".png", ".js"]
    for file in files:
        assert file.startswith(f"{root_path}/static/")
        assert client.get(file).status_code == 200
    assert client.get(f"{root_path}/static/nothing.js").status_code == 404
