"""The routes, a module per subject, and what they share."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic_core import to_json
from starlette.responses import Response

from mlopsproject.api.middleware import INFO
from mlopsproject.api.service import RequestInfo, Service


async def service_of(request: Request) -> Service:
    """The service of this process."""
    service: Service = request.app.state.service
    return service


async def info_of(request: Request) -> RequestInfo:
    """What is known of a request."""
    info: RequestInfo = request.scope[INFO]
    return info


TheService = Annotated[Service, Depends(service_of)]
Info = Annotated[RequestInfo, Depends(info_of)]


def json_response(document: Any) -> Response:
    """A document as JSON, written once and not checked again."""
    return Response(to_json(document, inf_nan_mode="null"), media_type="application/json")
