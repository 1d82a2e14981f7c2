"""What an event asks for: direct calls, and requests of API Gateway's two payload formats and of function URLs.

Formats: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlopsproject.core.errors import UserError
from mlopsproject.core.face_inputs import FaceOptions
from mlopsproject.core.problems import describe
from mlopsproject.core.schemas import FaceMode, UrlRequest

#: Keys that events of a gateway have, and direct calls have not.
_HTTP_KEYS: Final = ("requestContext", "httpMethod", "rawPath")
_DATA_URL: Final = re.compile(r"\Adata:[^,]*;base64,", re.IGNORECASE)
_BINARY: Final = ("image/", "application/octet-stream", "binary/octet-stream")
#: What takes the place of bytes that are no text, as the first of a JPEG and of a PNG are not.
_BYTES_LOST: Final = "\ufffd".encode()
_SEND: Final = 'send {"url": …} or {"image": "<base64>"} as JSON, or the picture itself as image/*'


class EventError(UserError):
    """An event that asks for nothing that can be answered.

    Args:
        status: for the caller over HTTP.
        kind: a stable word for programs.
        message: a sentence for people.
        allow: the methods that the address takes, of a problem with status 405.
    """

    def __init__(self, status: int, kind: str, message: str, allow: Sequence[str] = ()) -> None:
        self.status = status
        self.kind = kind
        self.allow = tuple(allow)
        super().__init__(message)


class ImageRequest(BaseModel):
    """A picture within JSON: its file as base64, alone or as a `data:` URL."""

    model_config = ConfigDict(extra="forbid")

    image: str = Field(min_length=1)
    face: FaceMode = "auto"

    def content(self) -> bytes:
        """The file.

        Raises:
            EventError: if the text is not base64.
        """
        return _from_base64(_DATA_URL.sub("", self.image, count=1), "image")


@dataclass(frozen=True, slots=True)
class PictureEvent:
    """A picture to answer.

    Attributes:
        url: where it is to be fetched, or `None`.
        content: its file, or `None`.
        options: which of its faces.
    """

    url: str | None
    content: bytes | None
    options: FaceOptions


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request that a gateway passes on.

    Attributes:
        method: in capitals.
        path: from the first slash on.
        headers: by name in lower case.
        body: as the caller sent it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def is_http(event: Any) -> bool:
    """Whether an event is a request that a gateway passes on, and no direct call."""
    return isinstance(event, dict) and any(key in event for key in _HTTP_KEYS)


def read_http(event: Mapping[str, Any]) -> HttpRequest:
    """Read a request in format 1.0 (REST APIs) or 2.0 (HTTP APIs, function URLs).

    Raises:
        EventError: if it is neither.
    """
    context = _mapping(event.get("requestContext"))
    http = _mapping(context.get("http"))
    method = http.get("method") or event.get("httpMethod")
    path = event.get("rawPath") or event.get("path") or http.get("path") or "/"
    body, encoded = event.get("body"), event.get("isBase64Encoded", False)
    if not isinstance(method, str) or not isinstance(path, str) or not isinstance(body, str | None):
        raise EventError(400, "malformed", "The event is no request of API Gateway or of a function URL.")
    several = _mapping(event.get("multiValueHeaders"))
    last = {name: values[-1] for name, values in several.items() if isinstance(values, list) and values}
    headers = {**last, **_mapping(event.get("headers"))}
    return HttpRequest(
        method.upper(),
        path,
        {str(name).lower(): str(value) for name, value in headers.items()},
        _from_base64(body or "", "body") if encoded is True else (body or "").encode("utf-8", "surrogatepass"),
    )


def picture_of(request: HttpRequest) -> PictureEvent:
    """The picture that the body of a request holds or names.

    Raises:
        EventError: for another content type, or a body that holds none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return picture_in(json.loads(request.body))
        except (ValueError, RecursionError) as error:
            raise EventError(400, "malformed", f"The body is not JSON; {_SEND}.") from error
    if kind.startswith(_BINARY):
        if not request.body:
            raise EventError(422, "missing_field", f"The body is empty; {_SEND}.")
        if request.body.startswith(_BYTES_LOST):
            why = "The gateway has read the picture as text; it needs binaryMediaTypes, or send base64 in JSON."
            raise EventError(400, "malformed", why)
        return PictureEvent(None, request.body, FaceOptions())
    raise EventError(415, "wrong_type", f"The body is of type {kind[:64] or 'unknown'}; {_SEND}.")


def picture_in(document: Any) -> PictureEvent:
    """The picture that a direct call, or the JSON of a request, holds or names.

    Args:
        document: `{"url": …}` or `{"image": base64}`, either perhaps with `"face": "auto" | "all" | "none"`.

    Raises:
        EventError: if it is neither.
    """
    if not isinstance(document, dict) or ("url" in document) == ("image" in document):
        raise EventError(422, "missing_field", f"The event names no picture, or two; {_SEND}.")
    try:
        if "url" in document:
            link = UrlRequest.model_validate(document)
            return PictureEvent(link.url, None, FaceOptions(link.face))
        held = ImageRequest.model_validate(document)
    except ValidationError as error:
        raise EventError(422, "invalid", describe(error.errors(include_url=False, include_input=False))) from None
    return PictureEvent(None, held.content(), FaceOptions(held.face))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_base64(text: str, where: str) -> bytes:
    try:
        # Encoders of mail and shells break lines.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise EventError(422, "invalid", f"{where} is not base64.") from None
