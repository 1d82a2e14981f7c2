"""From a picture's bytes to a logged answer: small pictures at once, large ones and searches in a thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from mlopsproject.api.answers import answer
from mlopsproject.api.live_model import LoadedModel
from mlopsproject.api.pictures import FaceOptions, cut_faces, decode, needs_search
from mlopsproject.api.problems import ProblemError, image_problem
from mlopsproject.api.service import RequestInfo, Service
from mlopsproject.api.uploads import Upload
from mlopsproject.core.errors import ImageError
from mlopsproject.core.face_inputs import FaceInputs
from mlopsproject.core.picture_limits import MAX_PIXELS
from mlopsproject.core.preprocess import announced_pixels
from mlopsproject.prediction_log.rows import PredictionRow, Source

#: Pictures up to these sizes are decoded at once: handing them to a thread would cost more.
_SMALL_BYTES: Final = 64 * 1024
_SMALL_PIXELS: Final = 256 * 256
#: Faces up to this number are scored at once.
_FEW_FACES: Final = 4
#: Most pixels of all the pictures of a batch together.
MAX_BATCH_PIXELS: Final = 4 * MAX_PIXELS
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
    if len(faces.boxes) <= _FEW_FACES:
        document, rows = answer(model, faces, info.request_id, info.started, source)
    else:
        document, rows = await service.in_thread(answer, model, faces, info.request_id, info.started, source)
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
        if len(content) <= _SMALL_BYTES:
            try:
                image = decode(content, spec, _SMALL_PIXELS)
            except ImageError as error:
                if error.reason != "too_large":
                    raise
            else:
                if not needs_search(image, options):
                    if len(options.boxes) > _FEW_FACES:
                        return await service.in_thread(cut_faces, image, options, spec, None)
                    return cut_faces(image, options, spec, None)
                return await service.in_thread(cut_faces, image, options, spec, service.find_faces)
        return await service.in_thread(_decode_and_cut, service, content, options, model)
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
    stop = threading.Event()
    try:
        entries, answered = await service.in_thread(_answer_all, service, uploads, options, model, info, stop)
    finally:
        # Nobody waits for the thread of a request that has run out of time.
        stop.set()
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


def check_type(upload: Upload) -> None:
    """Refuse a file that says of itself that it is no picture.

    Raises:
        ProblemError: if so.
    """
    if upload.content_type and not upload.content_type.startswith(_ACCEPTED):
        shown = upload.content_type[:64]
        raise ProblemError(
            415, "wrong_type", f"The file is of type {shown}; send a JPEG, PNG, WebP, BMP, GIF or TIFF picture."
        )


def _answer_all(
    service: Service,
    uploads: Sequence[Upload],
    options: FaceOptions,
    model: LoadedModel,
    info: RequestInfo,
    stop: threading.Event,
) -> tuple[list[dict[str, Any]], list[list[PredictionRow]]]:
    """An entry per file, and the rows per picture that could be used; fewer once `stop` is set."""
    entries: list[dict[str, Any]] = []
    answered: list[list[PredictionRow]] = []
    left = MAX_BATCH_PIXELS
    for upload in uploads:
        if stop.is_set():
            break
        entry: dict[str, Any] = {"file": upload.name, "result": None, "problem": None}
        entries.append(entry)
        try:
            check_type(upload)
            pixels = announced_pixels(upload.content)
            if MAX_PIXELS >= pixels > left:
                most = f"{MAX_BATCH_PIXELS:,}"
                raise ProblemError(413, "too_large", f"The pictures of a batch may have {most} pixels together.")
            # One that turns out to be damaged has cost its time too; one beyond `MAX_PIXELS` is not begun with.
            left -= pixels if pixels <= MAX_PIXELS else 0
            faces = _decode_and_cut(service, upload.content, options, model)
        except ImageError as error:
            entry["problem"] = image_problem(error).document(info.request_id)
        except ProblemError as error:
            entry["problem"] = error.document(info.request_id)
        else:
            entry["result"], rows = answer(model, faces, info.request_id, info.started, "batch")
            answered.append(rows)
    return entries, answered


def _decode_and_cut(service: Service, content: bytes, options: FaceOptions, model: LoadedModel) -> FaceInputs:
    spec = model.predictor.spec.input
    return cut_faces(decode(content, spec), options, spec, service.find_faces)
