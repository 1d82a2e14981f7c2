"""How the service, its model and its log fare."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BeforeValidator
from starlette.responses import JSONResponse, Response

from mlopsproject.api.middleware import is_trusted
from mlopsproject.api.openapi import REQUEST_ID, responses
from mlopsproject.api.problems import invalid
from mlopsproject.api.routes import TheService
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.schemas import Health, ModelInfo, Ready, Stats

router = APIRouter(tags=["status"])
#: Without the API key.
open_router = APIRouter(tags=["status"])


def _iso(value: object) -> object:
    """Let pass what looks like a date; pydantic would also take a number of seconds."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("Input should be a date and time such as 2026-11-24T12:00:00Z")
    return value


Moment = Annotated[
    datetime | None, BeforeValidator(_iso), Query(description="date and time; without an offset it is UTC")
]


@open_router.head("/health", include_in_schema=False)
@open_router.get("/health", responses=responses(), summary="Does it live?")
async def health() -> Health:
    """The process lives. For what it can do, ask `/ready`."""
    return Health()


@open_router.head("/ready", include_in_schema=False)
@open_router.get(
    "/ready",
    response_model=Ready,
    responses=responses()
    | {503: {"model": Ready, "description": "Send no requests here for now", "headers": REQUEST_ID}},
    summary="Should requests be sent here?",
)
async def ready(request: Request, service: TheService) -> Response:
    """Whether requests should be sent here; with `degraded` they are answered, but something needs a look."""
    loaded, problem = service.model.current, service.model.problem
    details = {"model": problem} if problem else {}
    checks = {"model": "not_loaded" if loaded is None else "not_replaced" if problem else "ok"}
    state = "degraded" if problem else "ok"
    if service.is_open:
        log = service.log.status()
        checks |= {"log": log.state, "database": log.database}
        if log.state != "ok":
            state = "degraded"
            details |= {"log": log.error} if log.error else {}
        if log.state == "failing" and service.log_settings.log_when_full == "refuse":
            state = "not_ready"
    if loaded is None or not service.is_open:
        state = "not_ready"
    # Stable words for everybody, and sentences for those who may know.
    document = {
        "status": state,
        "model_version": loaded.model_version if loaded else None,
        "checks": checks,
        "details": details if is_trusted(request.scope, service) else {},
    }
    return JSONResponse(document, 503 if state == "not_ready" else 200)


@router.get("/model", responses=responses(401, 429, 503), summary="The model that answers")
async def model(service: TheService) -> ModelInfo:
    """The model that answers: its classes, its input, how it was trained, and what it reached on test."""
    predictor = service.loaded_model()
    spec = predictor.spec.model_dump(mode="json")
    return ModelInfo(model_version=predictor.model_version, precision=predictor.precision, spec=spec)


@router.get("/stats", responses=responses(401, 404, 422, 429, 503), summary="What was answered")
async def stats(service: TheService, since: Moment = None, until: Moment = None) -> Stats:
    """What the prediction log holds of a stretch of time, by default the last day."""
    try:
        return await service.log_threads.run(service.log.stats, since, until)
    except ConfigError as error:
        raise invalid(error.message) from None


@open_router.get(
    "/metrics",
    response_class=Response,
    responses=responses(content={"text/plain": {"schema": {"type": "string"}}}),
    summary="Metrics for Prometheus",
)
def metrics(service: TheService) -> Response:
    """Everything for Prometheus, of all worker processes."""
    service.show_state()
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
