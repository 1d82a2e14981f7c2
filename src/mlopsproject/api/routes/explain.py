"""What an answer rests on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from mlopsproject.api.openapi import picture_form, responses
from mlopsproject.api.routes import Info, TheService, json_response
from mlopsproject.api.scoring import find_and_cut
from mlopsproject.api.uploads import read_pictures
from mlopsproject.core.explain import occlusion_map
from mlopsproject.core.schemas import ExplainResponse

router = APIRouter(tags=["predict"])


@router.post(
    "/explain",
    response_model=ExplainResponse,
    responses=responses(400, 401, 408, 413, 415, 422, 429, 503),
    openapi_extra=picture_form(),
    summary="Show what an answer rests on",
)
async def explain(request: Request, service: TheService, info: Info) -> Response:
    """Cover parts of the largest face and say how much of its log-odds the answer loses.

    The map lies over `box`, the square around the face that the network saw. Explanations are not logged.
    """
    (upload,), options = await read_pictures(request, max_files=1)
    upload.check_type()
    model = service.model_for(info)
    faces = await find_and_cut(service, upload.content, options, model)
    largest = faces.largest
    prediction, losses = await service.in_thread(occlusion_map, model, faces.inputs[largest])
    return json_response(
        {
            "request_id": info.request_id,
            "model_version": model.model_version,
            "predicted_emotion": prediction.label,
            "confidence": prediction.confidence,
            "box": faces.parts[largest],
            "heatmap": losses.tolist(),
        }
    )
