"""Pictures in, apparent expressions out."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from mlopsproject.api.openapi import ANSWER_EXAMPLE, FEEDBACK_LINK, picture_form, problems
from mlopsproject.api.pictures import parse_options
from mlopsproject.api.problems import ProblemError, invalid
from mlopsproject.api.routes.common import info_of, json_response, service_of
from mlopsproject.api.routes.direct import DirectRoute
from mlopsproject.api.scoring import check_type, predict_batch, predict_one
from mlopsproject.api.uploads import Form, Upload, read_form
from mlopsproject.core.face_inputs import FaceOptions
from mlopsproject.core.schemas import BatchResponse, PredictResponse, UrlRequest


def add_routes(app: FastAPI) -> None:
    """Add the routes of this module."""
    example: dict[int | str, Any] = {
        200: {"content": {"application/json": {"example": ANSWER_EXAMPLE}}, "links": FEEDBACK_LINK}
    }
    errors = problems(400, 401, 408, 413, 415, 422, 429, 503)
    for path in ("/predict/", "/predict"):
        app.router.add_api_route(
            path,
            predict,
            methods=["POST"],
            route_class_override=DirectRoute,
            response_model=PredictResponse,
            responses=errors | example,
            openapi_extra=picture_form(),
            tags=["predict"],
            summary="Recognise one picture",
            include_in_schema=path.endswith("/"),
        )
    app.add_api_route(
        "/predict/batch",
        batch,
        methods=["POST"],
        response_model=BatchResponse,
        responses=errors,
        openapi_extra=picture_form(several=True),
        tags=["predict"],
        summary="Recognise several pictures",
    )
    app.add_api_route(
        "/predict/url",
        from_url,
        methods=["POST"],
        response_model=PredictResponse,
        responses=errors | problems(502) | example,
        tags=["predict"],
        summary="Recognise a picture of the web",
    )


async def predict(request: Request) -> Response:
    """Recognise the apparent expression in one picture.

    The top level repeats the largest face. With `face_search: not_found` no face was found and the whole picture was
    scored: trust the answer less.
    """
    form = await read_form(request, max_files=1)
    (upload,) = pictures_of(form)
    check_type(upload)
    options = options_of(form)
    return json_response(
        await predict_one(service_of(request), upload.content, options, info_of(request), source="upload")
    )


async def batch(request: Request) -> Response:
    """Recognise several pictures, each a field `data` of the form.

    A picture that cannot be used gets a problem in its entry and does not cost the others.
    """
    service = service_of(request)
    form = await read_form(request, service.settings.max_files)
    uploads = pictures_of(form)
    return json_response(await predict_batch(service, uploads, options_of(form), info_of(request)))


async def from_url(request: Request, body: UrlRequest) -> Response:
    """Fetch a picture from a public http(s) address and recognise it.

    Addresses of private networks are refused, also when a public name leads there.
    """
    service = service_of(request)
    settings = service.settings
    # It takes a while to load, for which only those pay who need it.
    safe_fetch = await asyncio.to_thread(import_module, "mlopsproject.api.safe_fetch")
    # Until the answer: pictures from elsewhere take memory, but no part of `MAX_WAITING_MB`.
    with service.fetching():
        try:
            content = await safe_fetch.fetch(
                body.url, max_bytes=settings.fetch_max_bytes, timeout=settings.fetch_timeout_seconds
            )
        except safe_fetch.FetchError as error:
            raise ProblemError(_fetch_status(error.reason), error.reason, error.message) from None
        options = FaceOptions(body.face)
        return json_response(await predict_one(service, content, options, info_of(request), source="url"))


def _fetch_status(reason: str) -> int:
    if reason in ("bad_url", "forbidden_address", "forbidden_port"):
        return 422
    return 413 if reason == "too_large" else 502


def pictures_of(form: Form) -> list[Upload]:
    """The pictures of a form, at least one.

    Raises:
        ProblemError: if there are none, or the form has other files or fields.
    """
    unknown = {upload.field for upload in form.files} - {"data"} | form.fields.keys() - {"data", "face", "boxes"}
    if unknown:
        raise invalid(f"The field {min(unknown)[:64]!r} is unknown; there are data, face and boxes.", "unknown_field")
    if "data" in form.fields:
        raise invalid("The field data holds text; send a file, as in: curl -F data=@face.jpg", "missing_field")
    if not form.files:
        raise invalid("The field data is missing; send a file, as in: curl -F data=@face.jpg", "missing_field")
    return form.files


def options_of(form: Form) -> FaceOptions:
    """Which faces the form asks for.

    Raises:
        ProblemError: if it says something impossible.
    """
    return parse_options(form.fields.get("face"), form.fields.get("boxes"))
