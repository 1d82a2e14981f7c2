"""What an answer rests on."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import Response

from mlopsproject.api.openapi import picture_form, problems
from mlopsproject.api.routes.common import info_of, json_response, service_of
from mlopsproject.api.routes.predict import options_of, pictures_of
from mlopsproject.api.scoring import check_type, find_and_cut
from mlopsproject.api.uploads import read_form
from mlopsproject.core.explain import occlusion_map
from mlopsproject.core.schemas import ExplainResponse


def add_routes(app: FastAPI) -> None:
    """Add the routes of this module."""
    app.add_api_route(
        "/explain",
        explain,
        methods=["POST"],
        response_model=ExplainResponse,
        responses=problems(400, 401, 408, 413, 415, 422, 429, 503),
        openapi_extra=picture_form(),
        tags=["predict"],
        summary="Show what an answer rests on",
    )


async def explain(request: Request) -> Response:
    """Cover parts of the largest face and say how much of its probability the answer loses.

    The map lies over `box`, the square around the face that the network saw. Explanations are not logged.
    """
    service, info = service_of(request), info_of(request)
    form = await read_form(request, max_files=1)
    (upload,) = pictures_of(form)
    check_type(upload)
    model = service.loaded_model()
    info.model_version = model.version
    faces = await find_and_cut(service, upload.content, options_of(form), model)
    largest = faces.largest
    prediction, losses = await service.in_thread(occlusion_map, model.predictor, faces.inputs[largest])
    return json_response(
        {
            "request_id": info.request_id,
            "model_version": model.version,
            "predicted_emotion": prediction.label,
            "confidence": prediction.confidence,
            "box": faces.parts[largest],
            "heatmap": losses.tolist(),
        }
    )
