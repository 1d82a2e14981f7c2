"""What people say an answered face looks like."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from mlopsproject.api.openapi import problems
from mlopsproject.api.problems import ProblemError, invalid
from mlopsproject.api.routes.common import json_response, service_of
from mlopsproject.core.schemas import FeedbackRequest, FeedbackResponse
from mlopsproject.prediction_log.rows import FeedbackRow


def add_routes(app: FastAPI) -> None:
    """Add the routes of this module."""
    app.add_api_route(
        "/feedback",
        feedback,
        methods=["POST"],
        operation_id="feedback",
        response_model=FeedbackResponse,
        responses=problems(400, 401, 404, 408, 413, 422, 429, 503),
        tags=["feedback"],
        summary="Say what a face looks like",
    )


async def feedback(request: Request, body: FeedbackRequest) -> Response:
    """Take down what a person says of an answered face; later words on the same face are kept beside earlier ones."""
    service = service_of(request)
    log = service.log
    row = log.recent(body.prediction_id) or await service.ask(log.knows, body.prediction_id)
    if row is None:
        raise ProblemError(404, "unknown_prediction", "There is no such prediction.")
    if body.label not in row.probabilities:
        raise invalid(f"label: give one of {', '.join(row.probabilities)}.", "unknown_label")
    await service.keep([FeedbackRow(row.prediction_id, body.label)])
    agrees = body.label == row.predicted
    service.metrics.feedback(agrees)
    return json_response({"prediction_id": row.prediction_id, "label": body.label, "agrees": agrees})
