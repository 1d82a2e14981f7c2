"""What the Lambda function takes an event for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.aws.events import EventError, is_http, picture_in, picture_of, read_http
from mlopsproject.core.face_inputs import FaceOptions

PICTURE = b"\xff\xd8\xffpicture"
TEXT = base64.b64encode(PICTURE).decode()
JSON = {"Content-Type": "application/json; charset=utf-8"}


def format_1(**fields: Any) -> dict[str, Any]:
    """A request as a REST API passes it on."""
    return {
        "resource": "/{proxy+}",
        "path": "/predict",
        "httpMethod": "POST",
        "headers": None,
        "multiValueHeaders": None,
        "requestContext": {"stage": "prod", "requestId": "r-1", "httpMethod": "POST"},
        "body": None,
        "isBase64Encoded": False,
        **fields,
    }


def format_2(**fields: Any) -> dict[str, Any]:
    """A request as an HTTP API or a function URL passes it on."""
    return {
        "version": "2.0",
        "rawPath": "/predict",
        "headers": {},
        "requestContext": {"http": {"method": "POST", "path": "/predict"}, "requestId": "r-2"},
        "isBase64Encoded": False,
        **fields,
    }


FORMATS = pytest.mark.parametrize("event", [format_1, format_2])


@FORMATS
def test_both_formats_say_the_same(event) -> None:
    body = json.dumps({"image": TEXT, "face": "all"})
    request = read_http(event(headers=JSON, body=body))
    assert (request.method, request.path, request.body) == ("POST", "/predict", body.encode())
    assert picture_of(request).content == PICTURE
    assert picture_of(request).options == FaceOptions("all")


@FORMATS
@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/PNG", "application/octet-stream"])
def test_a_body_may_be_the_picture_itself(event, kind) -> None:
    request = read_http(event(headers={"content-type": kind}, body=TEXT, isBase64Encoded=True))
    assert picture_of(request).content == PICTURE


@FORMATS
def test_json_may_come_as_base64(event) -> None:
    body = base64.b64encode(json.dumps({"url": "https://example.org/a.jpg"}).encode()).decode()
    assert (
        picture_of(read_http(event(headers=JSON, body=body, isBase64Encoded=True))).url == "https://example.org/a.jpg"
    )


def test_headers_may_come_as_lists() -> None:
    event = format_1(multiValueHeaders={"Content-Type": ["text/plain", "image/png"]}, body=TEXT, isBase64Encoded=True)
    assert picture_of(read_http(event)).content == PICTURE


def test_what_a_direct_call_is() -> None:
    assert not is_http({"image": TEXT})
    assert picture_in({"image": TEXT}).content == PICTURE
    assert picture_in({"image": f"data:image/png;base64,{TEXT[:4]}\n{TEXT[4:]}"}).content == PICTURE
    assert picture_in({"image": f"DATA:image/png;charset=utf-8;base64,{TEXT}"}).content == PICTURE
    assert picture_in({"url": "http://example.org/a.png", "face": "none"}).options == FaceOptions("none")


@pytest.mark.parametrize(
    ("document", "kind", "said"),
    [
        (None, "missing_field", "names no picture"),
        ([], "missing_field", "names no picture"),
        ({}, "missing_field", 'send {"url"'),
        ({"Records": [{"s3": {}}]}, "missing_field", "names no picture"),
        ({"url": "https://a.org", "image": TEXT}, "missing_field", "or two"),
        ({"url": "ftp://a.org/b"}, "invalid", "url"),
        ({"url": 5}, "invalid", "url"),
        ({"image": 5}, "invalid", "image"),
        ({"image": ""}, "invalid", "image"),
        ({"image": "%%%"}, "invalid", "not base64"),
        ({"image": "é"}, "invalid", "not base64"),
        ({"image": TEXT, "face": "both"}, "invalid", "face"),
        ({"image": TEXT, "more": 1}, "invalid", "more"),
    ],
)
def test_documents_that_name_no_picture(document, kind, said) -> None:
    with pytest.raises(EventError, match=said) as caught:
        picture_in(document)
    assert (caught.value.status, caught.value.kind) == (422, kind)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"headers": {}, "body": TEXT}, 415),
        ({"headers": {"content-type": "text/html"}, "body": "<p>"}, 415),
        ({"headers": {"content-type": "multipart/form-data; boundary=x"}, "body": "--x--"}, 415),
        ({"headers": JSON, "body": None}, 400),
        ({"headers": JSON, "body": "{"}, 400),
        ({"headers": JSON, "body": "[" * 100_000}, 400),
        ({"headers": JSON, "body": "\ud800"}, 400),
        ({"headers": JSON, "body": "%", "isBase64Encoded": True}, 422),
        ({"headers": {"content-type": "image/png"}, "body": ""}, 422),
        ({"headers": JSON, "body": {"url": "https://a.org"}}, 400),
        ({"headers": ["content-type"], "body": "{}"}, 415),
    ],
)
def test_requests_that_hold_no_picture(fields, status) -> None:
    with pytest.raises(EventError) as caught:
        picture_of(read_http(format_2(**fields)))
    assert caught.value.status == status


@pytest.mark.parametrize("event", [{"requestContext": 5}, {"httpMethod": ["POST"]}, {"rawPath": None}])
def test_an_event_that_only_looks_like_a_request(event) -> None:
    assert is_http(event)
    with pytest.raises(EventError, match="no request of API Gateway"):
        read_http(event)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["requestContext", "httpMethod", "headers", "body", "isBase64Encoded", "rawPath", "url", "image"]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_NAMES, _JSON | st.just("POST") | st.just({"http": {"method": "POST"}})))
def test_nothing_else_is_raised(event) -> None:
    status = 400
    try:
        picture_of(read_http(event)) if is_http(event) else picture_in(event)
    except EventError as error:
        status = error.status
    assert 400 <= status < 500
