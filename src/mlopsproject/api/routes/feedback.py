"""What people say an answered face looks like."""

from __future__ import annotations

from fastapi import APIRouter

from mlopsproject.api.openapi import responses
from mlopsproject.api.problems import ProblemError, invalid
from mlopsproject.api.routes import TheService
from mlopsproject.core.schemas import FeedbackRequest, FeedbackResponse
from mlopsproject.prediction_log.rows import FeedbackRow

router = APIRouter(tags=["feedback"])


@router.post(
    "/feedback",
    operation_id="feedback",
    responses=responses(400, 401, 404, 408, 413, 422, 429, 503),
    summary="Say what a face looks like",
)
async def feedback(body: FeedbackRequest, service: TheService) -> FeedbackResponse:
    """Take down what a person says of an answered face; later words on the same face are kept beside earlier ones."""
    log = service.log
    row = log.recent(body.prediction_id) or await service.log_threads.run(log.knows, body.prediction_id)
    if row is None:
        raise ProblemError(404, "unknown_prediction", "There is no such prediction.")
    if body.label not in row.probabilities:
        raise invalid(f"label: give one of {', '.join(row.probabilities)}.", "unknown_label")
    await log.write([FeedbackRow(row.prediction_id, body.label)])
    agrees = body.label == row.predicted
    service.metrics.feedback.labels(str(agrees).lower()).inc()
    return FeedbackResponse(prediction_id=row.prediction_id, label=body.label, agrees=agrees)
