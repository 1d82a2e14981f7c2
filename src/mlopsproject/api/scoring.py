"""From a picture's bytes to a logged answer: cheap pictures at once, all others, and searches, in a helper process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from mlopsproject.api.answers import answer
from mlopsproject.api.live_model import LoadedModel
from mlopsproject.api.problems import ProblemError, image_problem
from mlopsproject.api.service import RequestInfo, Service
from mlopsproject.api.uploads import Upload
from mlopsproject.core.cheap_pictures import is_cheap
from mlopsproject.core.errors import ImageError
from mlopsproject.core.face_inputs import FaceInputs, FaceOptions, cut_faces
from mlopsproject.core.preprocess import WEB_FORMATS, decode_image
from mlopsproject.prediction_log.rows import PredictionRow, Source

#: Faces up to this number are scored at once.
_FEW_FACES: Final = 4
#: What a file may call itself; what it is, is seen when it is decoded.
_ACCEPTED: Final = ("image/", "application/octet-stream", "binary/octet-stream")


async def predict_one(
    service: Service, content: bytes, options: FaceOptions, info: RequestInfo, source: Source
) -> dict[str, Any]:
    """Answer one picture, and have the answer logged.

    Args:
        service: of this process.
        content: the picture's bytes.
        options: which faces.
        info: of the request.
        source: where the picture came from.

    Returns:
        The document that `schemas.PredictResponse` describes.

    Raises:
        ProblemError: if the picture cannot be used, or the answer cannot be kept.
    """
    model = service.loaded_model()
    info.model_version = model.version
    faces = await find_and_cut(service, content, options, model)
    document, rows = await _answer(service, model, faces, info, source)
    await service.keep(rows)
    model.metrics.answered(rows)
    return document


async def find_and_cut(service: Service, content: bytes, options: FaceOptions, model: LoadedModel) -> FaceInputs:
    """Decode a picture and cut its faces out.

    Raises:
        ProblemError: if the picture cannot be used, or a box leaves it.
    """
    spec = model.predictor.spec.input
    try:
        if is_cheap(content) and len(options.boxes) <= _FEW_FACES:
            image = decode_image(content, min_jpeg_side=None, formats=WEB_FORMATS)
            if not options.need_search(image):
                return cut_faces(image, options, spec, None)
        return await service.read_faces(content, options, spec)
    except ImageError as error:
        raise image_problem(error) from None


async def predict_batch(
    service: Service, uploads: Sequence[Upload], options: FaceOptions, info: RequestInfo
) -> dict[str, Any]:
    """Answer several pictures; one that cannot be used does not cost the others. The answers are logged together.

    Args:
        service: of this process.
        uploads: the pictures.
        options: which faces, of every picture.
        info: of the request.

    Returns:
        The document that `schemas.BatchResponse` describes.

    Raises:
        ProblemError: if the answers cannot be kept.
    """
    model = service.loaded_model()
    info.model_version = model.version
    entries: list[dict[str, Any]] = []
    answered: list[list[PredictionRow]] = []
    for upload in uploads:
        entry: dict[str, Any] = {"file": upload.name, "result": None, "problem": None}
        entries.append(entry)
        try:
            check_type(upload)
            faces = await find_and_cut(service, upload.content, options, model)
        except ProblemError as error:
            entry["problem"] = error.document(info.request_id)
        else:
            entry["result"], rows = await _answer(service, model, faces, info, "batch")
            answered.append(rows)
        # Between two pictures others have their turn.
        await asyncio.sleep(0)
    await service.keep([row for rows in answered for row in rows])
    for rows in answered:
        model.metrics.answered(rows)
    return {
        "request_id": info.request_id,
        "model_version": model.version,
        "answered": len(answered),
        "failed": len(entries) - len(answered),
        "results": entries,
    }


async def _answer(
    service: Service, model: LoadedModel, faces: FaceInputs, info: RequestInfo, source: Source
) -> tuple[dict[str, Any], list[PredictionRow]]:
    if len(faces.boxes) <= _FEW_FACES:
        return answer(model, faces, info.request_id, info.started, source)
    return await service.in_thread(answer, model, faces, info.request_id, info.started, source)


def check_type(upload: Upload) -> None:
    """Refuse a file that says of itself that it is no picture.

    Raises:
        ProblemError: if so.
    """
    if upload.content_type and not upload.content_type.startswith(_ACCEPTED):
        shown = upload.content_type[:64]
        raise ProblemError(415, "wrong_type", f"The file is of type {shown}; send a picture.")
