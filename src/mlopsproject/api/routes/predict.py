"""Pictures in, apparent expressions out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, params
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mlopsproject.api.middleware import INFO
from mlopsproject.api.openapi import FEEDBACK_LINK, picture_form, responses
from mlopsproject.api.problems import ProblemError, busy
from mlopsproject.api.routes import Info, TheService, json_response
from mlopsproject.api.scoring import predict_batch, predict_one
from mlopsproject.api.settings import MB
from mlopsproject.api.uploads import read_pictures
from mlopsproject.core.face_inputs import FaceOptions
from mlopsproject.core.schemas import BatchResponse, PredictResponse, UrlRequest

_PROBLEMS: Final = (400, 401, 408, 413, 415, 422, 429, 503)
router = APIRouter(tags=["predict"])


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and makes the response; FastAPI documents it and does nothing else.

    Without solving dependencies and validating the answer once more, `/predict/` takes 0.12 ms less of 1.3.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = serve


async def predict(request: Request) -> Response:
    """Recognise the apparent expression in one picture.

    The top level repeats the largest face. With `face_search: not_found` no face was found and the whole picture was
    scored: trust the answer less.
    """
    (upload,), options = await read_pictures(request, max_files=1)
    upload.check_type()
    service, info = request.app.state.service, request.scope[INFO]
    return json_response(await predict_one(service, upload.content, options, info, source="upload"))


def add_predict(app: FastAPI, dependencies: Sequence[params.Depends]) -> None:
    """Add the busiest route to the application itself, before all others: included routers are asked one by one."""
    for path in ("/predict/", "/predict"):
        app.router.add_api_route(
            path,
            predict,
            methods=["POST"],
            route_class_override=DirectRoute,
            dependencies=dependencies,
            response_model=PredictResponse,
            responses=responses(*_PROBLEMS, links=FEEDBACK_LINK),
            openapi_extra=picture_form(),
            tags=["predict"],
            summary="Recognise one picture",
            include_in_schema=path.endswith("/"),
        )
    app.router.routes.sort(key=lambda route: not isinstance(route, DirectRoute))


@router.post(
    "/predict/batch",
    response_model=BatchResponse,
    responses=responses(*_PROBLEMS),
    openapi_extra=picture_form(several=True),
    summary="Recognise several pictures",
)
async def batch(request: Request, service: TheService, info: Info) -> Response:
    """Recognise several pictures, each a field `data` of the form.

    A picture that cannot be used gets a problem in its entry and does not cost the others.
    """
    uploads, options = await read_pictures(request, service.settings.max_files)
    return json_response(await predict_batch(service, uploads, options, info))


@router.post(
    "/predict/url",
    response_model=PredictResponse,
    responses=responses(*_PROBLEMS, 502, links=FEEDBACK_LINK),
    summary="Recognise a picture of the web",
)
async def from_url(body: UrlRequest, service: TheService, info: Info) -> Response:
    """Fetch a picture from a public http(s) address and recognise it.

    Addresses of private networks are refused, also when a public name leads there.
    """
    settings = service.settings
    # It takes a while to load, for which only those pay who need it.
    safe_fetch = await asyncio.to_thread(import_module, "mlopsproject.core.safe_fetch")
    if service.fetching.locked():
        raise busy("Too many pictures of other servers are worked on already.")
    # Until the answer: pictures from elsewhere take memory, but no part of `MAX_WAITING_MB`.
    async with service.fetching:
        try:
            content = await safe_fetch.fetch(
                body.url, max_bytes=int(settings.fetch_max_mb * MB), timeout=settings.fetch_timeout_seconds
            )
        except safe_fetch.FetchError as error:
            raise ProblemError(error.status, error.reason, error.message) from None
        return json_response(await predict_one(service, content, FaceOptions(body.face), info, source="url"))
