"""How the service, its model and its log fare."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BeforeValidator
from starlette.responses import JSONResponse, Response

from mlopsproject.api.middleware import is_trusted
from mlopsproject.api.openapi import problems
from mlopsproject.api.problems import invalid
from mlopsproject.api.routes.common import service_of
from mlopsproject.api.service import Service
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.schemas import Health, ModelInfo, Ready, Stats


def _iso(value: object) -> object:
    """Let pass what looks like a date; pydantic would also take a number of seconds."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("Input should be a date and time such as 2026-11-24T12:00:00Z")
    return value


Moment = Annotated[
    datetime | None, BeforeValidator(_iso), Query(description="date and time; without an offset it is UTC")
]


def add_routes(app: FastAPI) -> None:
    """Add the routes of this module."""
    app.add_api_route(
        "/health", health, response_model=Health, responses=problems(), tags=["status"], summary="Does it live?"
    )
    app.add_api_route(
        "/ready",
        ready,
        response_model=Ready,
        responses=problems() | {503: {"model": Ready, "description": "Send no requests here for now"}},
        tags=["status"],
        summary="Should requests be sent here?",
    )
    for path, endpoint in (("/health", health), ("/ready", ready)):
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    app.add_api_route(
        "/model",
        model,
        response_model=ModelInfo,
        responses=problems(401, 429, 503),
        tags=["status"],
        summary="The model that answers",
    )
    app.add_api_route(
        "/stats",
        stats,
        response_model=Stats,
        responses=problems(401, 404, 422, 429, 503),
        tags=["status"],
        summary="What was answered",
    )
    app.add_api_route(
        "/metrics",
        metrics,
        response_class=Response,
        responses=problems() | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
        tags=["status"],
        summary="Metrics for Prometheus",
    )


async def health() -> Health:
    """The process lives. For what it can do, ask `/ready`."""
    return Health()


async def ready(request: Request) -> Response:
    """Whether requests should be sent here; with `degraded` they are answered, but something needs a look."""
    service = service_of(request)
    document = _readiness(service, trusted=is_trusted(request.scope, service))
    return JSONResponse(document, 503 if document["status"] == "not_ready" else 200)


def _readiness(service: Service, *, trusted: bool) -> dict[str, Any]:
    """The answer of `/ready`: stable words for everybody, and sentences for those who may know."""
    loaded = service.model.current
    details = {"model": service.model.problem} if service.model.problem else {}
    checks = {"model": "not_replaced" if details else "ok"} if loaded else {"model": "not_loaded"}
    state = "degraded" if service.model.problem else "ok"
    if service.is_open:
        log = service.log.status()
        checks["log"] = log.state
        if log.state != "ok" and log.error:
            details["log"] = log.error
        checks["database"] = log.database
        if log.state != "ok":
            state = "degraded"
        if log.state == "failing" and service.log_settings.log_when_full == "refuse":
            state = "not_ready"
    if loaded is None or not service.is_open:
        state = "not_ready"
    version = loaded.version if loaded else None
    return {"status": state, "model_version": version, "checks": checks, "details": details if trusted else {}}


async def model(request: Request) -> ModelInfo:
    """The model that answers: its classes, its input, how it was trained, and what it reached on test."""
    predictor = service_of(request).loaded_model().predictor
    spec = predictor.spec.model_dump(mode="json")
    return ModelInfo(model_version=predictor.model_version, precision=predictor.precision, spec=spec)


async def stats(request: Request, since: Moment = None, until: Moment = None) -> Stats:
    """What the prediction log holds of a stretch of time, by default the last day."""
    service = service_of(request)
    try:
        return await service.ask(service.log.stats, since, until)
    except ConfigError as error:
        raise invalid(error.message) from None


def metrics(request: Request) -> Response:
    """Everything for Prometheus, of all worker processes."""
    service = service_of(request)
    service.show_state()
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
