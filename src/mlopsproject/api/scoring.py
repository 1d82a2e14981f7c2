"""From a picture's bytes to a logged answer: cheap pictures at once, all others, and searches, in a helper process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from mlopsproject.api.problems import ProblemError, as_problem
from mlopsproject.api.service import RequestInfo, Service
from mlopsproject.api.uploads import Upload
from mlopsproject.core.errors import ImageError
from mlopsproject.core.face_inputs import FaceInputs, FaceOptions, read_cheap
from mlopsproject.core.image_statistics import image_statistics
from mlopsproject.core.predictor import Predictor
from mlopsproject.prediction_log.rows import PredictionRow, Source, new_id

#: Faces up to this number are scored at once.
_FEW_FACES: Final = 4


async def predict_one(
    service: Service, content: bytes, options: FaceOptions, info: RequestInfo, source: Source
) -> dict[str, Any]:
    """Answer one picture as `schemas.PredictResponse` describes, and have the answer logged.

    Raises:
        ImageError: if the picture cannot be used.
        LogUnavailable: if the answer cannot be kept.
        ProblemError: if it is not this service's turn.
    """
    model = service.model_for(info)
    faces = await find_and_cut(service, content, options, model)
    document, rows = await _answer(service, model, faces, info, source)
    await service.log.write(rows)
    service.metrics.answered(rows)
    return document


async def predict_batch(
    service: Service, uploads: Sequence[Upload], options: FaceOptions, info: RequestInfo
) -> dict[str, Any]:
    """Answer several pictures as `schemas.BatchResponse` describes; one that cannot be used does not cost the others.

    The answers are logged together.

    Raises:
        LogUnavailable: if the answers cannot be kept.
    """
    model = service.model_for(info)
    entries: list[dict[str, Any]] = []
    answered: list[list[PredictionRow]] = []
    for upload in uploads:
        entry: dict[str, Any] = {"file": upload.name, "result": None, "problem": None}
        entries.append(entry)
        try:
            upload.check_type()
            faces = await find_and_cut(service, upload.content, options, model)
        except (ProblemError, ImageError) as error:
            problem = as_problem(error)
            entry["problem"] = problem and problem.document(info.request_id)
        else:
            entry["result"], rows = await _answer(service, model, faces, info, "batch")
            answered.append(rows)
        # Between two pictures others have their turn.
        await asyncio.sleep(0)
    await service.log.write([row for rows in answered for row in rows])
    for rows in answered:
        service.metrics.answered(rows)
    return {
        "request_id": info.request_id,
        "model_version": model.model_version,
        "answered": len(answered),
        "failed": len(entries) - len(answered),
        "results": entries,
    }


async def find_and_cut(service: Service, content: bytes, options: FaceOptions, model: Predictor) -> FaceInputs:
    """Decode a picture and cut its faces out.

    Raises:
        ImageError: if the picture cannot be used, or a box leaves it.
        ProblemError: if no helper can be started.
    """
    spec = model.spec.input
    if len(options.boxes) <= _FEW_FACES and (faces := read_cheap(content, options, spec)) is not None:
        return faces
    return await service.read_faces(content, options, spec)


async def _answer(
    service: Service, model: Predictor, faces: FaceInputs, info: RequestInfo, source: Source
) -> tuple[dict[str, Any], list[PredictionRow]]:
    if len(faces.boxes) <= _FEW_FACES:
        return answer(model, faces, info, source)
    return await service.in_thread(answer, model, faces, info, source)


def answer(
    model: Predictor, faces: FaceInputs, info: RequestInfo, source: Source
) -> tuple[dict[str, Any], list[PredictionRow]]:
    """Recognise the apparent expressions of a picture's faces; blocks.

    Returns:
        The document that `schemas.PredictResponse` describes, and the prediction log's row of each face.
    """
    logits, _ = model.logits(faces.inputs)
    predictions = [model.prediction(row) for row in model.probabilities(logits)]
    measured = {name: values.tolist() for name, values in image_statistics(faces.inputs).items()}
    now, latency_ms = time.time(), (time.perf_counter() - info.started) * 1000
    rows = [
        PredictionRow(
            prediction_id=new_id(),
            request_id=info.request_id,
            created_at=now,
            model_version=model.model_version,
            precision=model.precision,
            source=source,
            predicted=prediction.label,
            confidence=prediction.confidence,
            uncertain=prediction.uncertain,
            probabilities=prediction.probabilities,
            face_search=faces.search,
            box=box,
            width=faces.size[0],
            height=faces.size[1],
            latency_ms=latency_ms,
            **{name: values[place] for name, values in measured.items()},
        )
        for place, (prediction, box) in enumerate(zip(predictions, faces.boxes, strict=True))
    ]
    document = {
        "request_id": info.request_id,
        "model_version": model.model_version,
        **predictions[faces.largest].document(),
        "face": faces.boxes[faces.largest],
        "face_search": faces.search,
        "faces": [
            {"prediction_id": row.prediction_id, "box": row.box, **prediction.document()}
            for row, prediction in zip(rows, predictions, strict=True)
        ],
    }
    return document, rows
