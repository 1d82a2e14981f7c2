"""From an event to its answer: the same decoder, limits, safe fetch and Predictor as the API's, without a server."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, Final

from mlopsproject.aws.events import EventError, HttpRequest, PictureEvent, is_http, picture_in, picture_of, read_http
from mlopsproject.aws.settings import LambdaSettings
from mlopsproject.core.errors import ImageError
from mlopsproject.core.face_inputs import FaceInputs, read_cheap, read_faces
from mlopsproject.core.faces import face_finder
from mlopsproject.core.helpers import NARROW, run_forked
from mlopsproject.core.predictor import Prediction, Predictor
from mlopsproject.core.problems import MEDIA_TYPE, image_status, problem_document

logger = logging.getLogger(__name__)
# Lambda's own handler prints it; below a root level of WARNING it would be lost.
logger.setLevel(logging.INFO)

_MB: Final = 1_000_000
#: Seconds kept back for the answer, before Lambda ends the function.
_RESERVE: Final = 0.5
#: Ends of the addresses that are answered, and their methods; a stage of a REST API may stand before them.
PATHS: Final = {"/predict": ("POST",), "/health": ("GET", "HEAD"), "/": ("GET", "HEAD", "POST")}


class Function:
    """Answers events. One per execution environment of Lambda, which gives it one event at a time.

    Args:
        settings: of the function.

    Raises:
        UserError: if the model cannot be loaded.
    """

    def __init__(self, settings: LambdaSettings) -> None:
        self._settings = settings
        self._model = Predictor.load(settings.model_uri, settings.model_precision, store=settings.model_store)
        # Every process that is forked for a picture has it then.
        face_finder(settings.face_model)

    def answer(self, event: Any, context: Any = None) -> dict[str, Any]:
        """Answer one event; whatever it holds, nothing is raised.

        Args:
            event: `{"url": …}`, `{"image": base64}`, or a request of API Gateway or of a function URL.
            context: of the invocation, as Lambda gives it.

        Returns:
            To a direct call `{class: probability}` of the largest face, or a problem document. To a request a response
            with status, headers and body: an answer as `schemas.Answer` has it with the faces of `schemas.FaceAnswer`,
            or a problem document.
        """
        started = time.perf_counter()
        identifier = str(getattr(context, "aws_request_id", "") or uuid.uuid4().hex)
        status = 200
        allow: tuple[str, ...] = ()
        try:
            if is_http(event):
                document = self._serve(read_http(event), _seconds_left(context), identifier)
            else:
                faces, predictions = self._predict(picture_in(event), _seconds_left(context))
                document = predictions[faces.largest].probabilities
        except Exception as error:
            problem = _as_problem(error)
            status, allow = problem.status, problem.allow
            document = problem_document(status, problem.kind, problem.message, identifier)
        self._log(identifier, status, document, started)
        return _response(status, document, allow) if is_http(event) else document

    def _serve(self, request: HttpRequest, seconds: float, identifier: str) -> dict[str, Any]:
        path = _known(request.path)
        if request.method not in PATHS[path]:
            takes = f"{path} takes {' and '.join(PATHS[path])}."
            raise EventError(405, "method_not_allowed", takes, allow=PATHS[path])
        if request.method != "POST":
            return {"status": "ok", "model_version": self._model.model_version}
        faces, predictions = self._predict(picture_of(request), seconds)
        return {
            "request_id": identifier,
            "model_version": self._model.model_version,
            **predictions[faces.largest].document(),
            "face": faces.boxes[faces.largest],
            "face_search": faces.search,
            "faces": [{"box": box, **found.document()} for box, found in zip(faces.boxes, predictions, strict=True)],
        }

    def _predict(self, picture: PictureEvent, seconds: float) -> tuple[FaceInputs, list[Prediction]]:
        """The faces of a picture, and what each shows."""
        content = picture.content
        if content is None:
            content, seconds = self._fetch(str(picture.url), seconds)
        faces = self._read_faces(replace(picture, content=content), seconds)
        return faces, self._model.predict_inputs(faces.inputs)

    def _fetch(self, url: str, seconds: float) -> tuple[bytes, float]:
        """The picture of an address, and the seconds that are left."""
        # It takes a while to load, for which only those pay who need it.
        safe_fetch = import_module("mlopsproject.core.safe_fetch")
        started = time.monotonic()
        limits = {
            "max_bytes": int(self._settings.fetch_max_mb * _MB),
            "timeout": max(0.1, min(self._settings.fetch_timeout_seconds, seconds)),
        }
        try:
            content: bytes = asyncio.run(safe_fetch.fetch(url, **limits))
        except safe_fetch.FetchError as error:
            raise EventError(error.status, error.reason, error.message) from None
        return content, seconds - (time.monotonic() - started)

    def _read_faces(self, picture: PictureEvent, seconds: float) -> FaceInputs:
        """Decode a picture and cut its faces out; all but cheap ones in a process of their own."""
        content, options, spec = picture.content or b"", picture.options, self._model.spec.input
        if (faces := read_cheap(content, options, spec)) is not None:
            return faces
        limits = replace(NARROW, seconds=max(0.1, min(NARROW.seconds, seconds)))
        return run_forked(limits, read_faces, content, options, spec, self._settings.face_model)

    def _log(self, identifier: str, status: int, document: dict[str, Any], started: float) -> None:
        """One line for CloudWatch: nothing about the picture or what it shows."""
        said = {
            "request_id": identifier,
            "status": status,
            "problem": document.get("type", "") if status >= 400 else "",
            "model_version": self._model.model_version,
            "latency_ms": round(1000 * (time.perf_counter() - started), 2),
        }
        logger.info(" ".join(f"{name}={value}" for name, value in said.items() if value != ""), extra=said)


def _known(path: str) -> str:
    """Which of `PATHS` an address is."""
    if path.endswith("/") and path.count("/") <= 2:  # the root, or that of a stage
        return "/"
    for known in PATHS:
        if known != "/" and path.removesuffix("/").endswith(known):
            return known
    raise EventError(404, "not_found", "There is nothing at this address; POST a picture to /predict.")


def _seconds_left(context: Any) -> float:
    """Until Lambda ends the function, less what the answer itself needs."""
    remaining: Callable[[], int] | None = getattr(context, "get_remaining_time_in_millis", None)
    return NARROW.seconds if remaining is None else remaining() / 1000 - _RESERVE


def _as_problem(error: Exception) -> EventError:
    if isinstance(error, EventError):
        return error
    if isinstance(error, ImageError):
        return EventError(image_status(error.reason), error.reason, error.message)
    logger.error("An event is not answered.", exc_info=error)
    return EventError(500, "internal", "Something went wrong here; the log says what.")


def _response(status: int, document: dict[str, Any], allow: Sequence[str]) -> dict[str, Any]:
    """What both formats take for a response."""
    headers = {"Content-Type": "application/json" if status < 400 else MEDIA_TYPE, "Cache-Control": "no-store"}
    return {
        "statusCode": status,
        "headers": headers | ({"Allow": ", ".join(allow)} if allow else {}),
        "body": json.dumps(document),
        "isBase64Encoded": False,
    }
