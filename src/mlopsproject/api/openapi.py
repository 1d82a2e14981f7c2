"""What the OpenAPI page says beyond the schemas: texts, forms, examples and every error."""

from __future__ import annotations

from typing import Any, Final

from fastapi.security import APIKeyHeader

from mlopsproject.api.uploads import BOXES, MODES
from mlopsproject.core.problems import MEDIA_TYPE, title

TITLE: Final = "mlopsproject: apparent facial expressions"
DESCRIPTION: Final = """
Send a picture of a face, get the **apparent** expression with calibrated probabilities.

- `uncertain: true` means that the model should better not be believed.
- What a face looks like is not what a person feels. In the EU, inferring emotions at work and in education is
  prohibited (AI Act, Article 5(1)(f)).
- No picture and no file name is kept; answers are logged with statistics of the picture.
- Every error is a problem document (RFC 9457), and every answer carries `X-Request-ID`.
"""
TAGS: Final = [
    {"name": "predict", "description": "Recognise apparent expressions."},
    {"name": "feedback", "description": "Say what a face really looks like."},
    {"name": "status", "description": "How the service, its model and its log fare."},
    {"name": "drift", "description": "Whether the faces still look like those that the model knows."},
]
PICTURE_TYPES: Final = "image/jpeg, image/png, image/webp, image/heic, image/avif, image/gif, image/bmp"
#: How the answer's values make a request for feedback.
FEEDBACK_LINK: Final = {
    "feedback": {
        "operationId": "feedback",
        "description": "Say what the face really looks like.",
        "requestBody": {
            "prediction_id": "$response.body#/faces/0/prediction_id",
            "label": "$response.body#/predicted_emotion",
        },
    }
}
#: When each status comes, and a problem of it.
_PROBLEMS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("Not a picture, a damaged one, or a malformed form", "not_an_image", "The file is not a picture."),
    401: ("The API key is missing or wrong", "wrong_key", "Send the API key in the header X-API-Key."),
    404: ("Unknown", "unknown_prediction", "There is no such prediction."),
    408: ("The request did not arrive in time", "too_slow", "The request did not arrive within 30 s."),
    413: ("Too many bytes or pixels", "too_large", "The request has more than 10,000,000 bytes."),
    415: ("Another type of file or request", "wrong_type", "Send the picture as multipart/form-data."),
    422: ("A field is missing or impossible", "missing_field", "The field data is missing."),
    429: ("Too many requests of one caller", "too_many", "No more than 600 per 1 minute; try again."),
    500: ("A bug", "internal", "Something is wrong here."),
    502: ("The picture could not be fetched", "bad_status", "The server answered 404."),
    503: ("Busy, starting, or the answer cannot be logged", "busy", "128 requests are worked on already."),
}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
REQUEST_ID: Final = {"X-Request-ID": {"description": "Names this request.", "schema": {"type": "string"}}}
#: What callers send where there is an API key; the middleware checks it.
KEY: Final = APIKeyHeader(name="X-API-Key", scheme_name="key", auto_error=False)


def responses(*statuses: int, **success: Any) -> dict[int | str, dict[str, Any]]:
    """The documentation of a route's answers, for its `responses`.

    Args:
        *statuses: of the problems that it may answer with; 500 is always among them.
        **success: what is said of an answer with 200 beyond its schema.
    """
    problems: dict[int | str, dict[str, Any]] = {status: _problem(status) for status in (*statuses, 500)}
    return {200: {"headers": REQUEST_ID, **success}} | problems


def _problem(status: int) -> dict[str, Any]:
    description, kind, detail = _PROBLEMS[status]
    example = {"type": kind, "title": title(status), "status": status, "detail": detail, "request_id": "5f0c8a4b"}
    # `BatchEntry` brings the schema into the document.
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    headers = REQUEST_ID | _RETRY if status in (429, 503) else REQUEST_ID
    return {"description": description, "content": content, "headers": headers}


def picture_form(*, several: bool = False) -> dict[str, Any]:
    """The documentation of a form with pictures, for a route's `openapi_extra`."""
    picture: dict[str, Any] = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "minLength": 1,
        "description": "a JPEG, PNG, WebP, HEIC, AVIF, GIF or BMP file",
    }
    fields: dict[str, Any] = {
        "data": {"type": "array", "items": picture, "minItems": 1} if several else picture,
        "face": MODES.json_schema()
        | {
            "default": "auto",
            "description": "`auto`: the largest face, and small pictures whole; `all`: every face; `none`: no search",
        },
        "boxes": BOXES.json_schema()
        | {"description": "faces found by the caller: `[x, y, width, height]` in pixels of the upright picture"},
    }
    schema = {"type": "object", "properties": fields, "required": ["data"], "additionalProperties": False}
    encoding = {"data": {"contentType": PICTURE_TYPES}, "boxes": {"contentType": "application/json"}}
    content = {"multipart/form-data": {"schema": schema, "encoding": encoding}}
    return {"requestBody": {"required": True, "content": content}}
