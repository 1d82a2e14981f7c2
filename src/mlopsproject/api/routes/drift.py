"""Whether the faces still look like those that the model knows: the reports of the drift job."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from mlopsproject.api.middleware import is_trusted
from mlopsproject.api.openapi import responses
from mlopsproject.api.problems import ProblemError
from mlopsproject.api.routes import TheService, json_response
from mlopsproject.api.service import Service
from mlopsproject.core.commands import job_command
from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE, is_report_id
from mlopsproject.core.schemas import DriftEntry, DriftReport

#: The page runs its own scripts and shows its own pictures, has no rights of this server's origin, and loads nothing.
_PAGE_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'"
)

_Identifier = Annotated[str, Path(description="`id` of the report, as the history has it")]
router = APIRouter(tags=["drift"])


def _file_responses(media_type: str) -> dict[int | str, dict[str, Any]]:
    return responses(401, 404, 422, 429, 503, content={media_type: {"schema": {"type": "string"}}})


@router.get(
    "/drift",
    response_model=DriftReport,
    responses=responses(401, 404, 429, 503),
    summary="The newest report about the model that answers",
)
async def newest(request: Request, service: TheService) -> Response:
    """What the newest report about the model that answers says: whether the faces look like those that it knows."""
    name = service.loaded_model().model_version
    report = await service.store_threads.run(service.drift_reports.latest, name)
    if report is None:
        command = job_command("drift", "current=log")
        raise _missing(f"There is no drift report about this model yet. Make one: {command}")
    return json_response(_for_caller(request, report))


@router.get(
    "/drift/history",
    response_model=list[DriftEntry],
    responses=responses(401, 422, 429, 503),
    summary="The newest reports about all models",
)
async def history(request: Request, service: TheService, limit: Annotated[int, Query(ge=1, le=200)] = 60) -> Response:
    """The newest reports, also about other models, the newest first."""
    entries = await service.store_threads.run(service.drift_reports.history, limit)
    return json_response([DriftEntry(id=entry.id, report=_for_caller(request, entry.report)) for entry in entries])


@router.get(
    "/drift/{identifier}/report",
    response_class=Response,
    responses=_file_responses("text/html"),
    summary="The page of a report",
)
async def page(service: TheService, identifier: _Identifier) -> Response:
    """A report's page with every distribution; it needs no other file and no network."""
    content = await _file(service, identifier, PAGE_FILE)
    return HTMLResponse(content, headers={"Content-Security-Policy": _PAGE_POLICY, "Referrer-Policy": "no-referrer"})


@router.get(
    "/drift/{identifier}/picture",
    response_class=Response,
    responses=_file_responses("image/png"),
    summary="The picture of a report",
)
async def picture(service: TheService, identifier: _Identifier) -> Response:
    """A report's picture, which sums it up."""
    content = await _file(service, identifier, PICTURE_FILE)
    return Response(content, media_type="image/png", headers={"X-Content-Type-Options": "nosniff"})


async def _file(service: Service, identifier: str, name: str) -> bytes:
    content = None
    if is_report_id(identifier):
        content = await service.store_threads.run(service.drift_reports.file, identifier, name)
    if content is None:
        raise _missing("There is no such drift report, or it lacks this file.")
    return content


def _missing(detail: str) -> ProblemError:
    return ProblemError(404, "no_report", detail)


def _for_caller(request: Request, report: DriftReport) -> DriftReport:
    """The report; strangers do not learn where it and the pictures lie."""
    if is_trusted(request.scope, request.app.state.service):
        return report
    return report.model_copy(update={"report": "", "current": PurePath(report.current).name})
