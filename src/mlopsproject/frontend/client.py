"""A thin client of the API: its answers as `core.schemas`, its failures as one error that can be shown to people."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, TypeVar

import httpx
from pydantic import BaseModel, RootModel, ValidationError

from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import UserError, first_line
from mlopsproject.core.schemas import (
    BatchResponse,
    Box,
    DriftEntry,
    DriftReport,
    ExplainResponse,
    FaceMode,
    FeedbackResponse,
    ModelInfo,
    PredictResponse,
    Problem,
    Ready,
    Stats,
)
from mlopsproject.frontend.settings import FrontendSettings

#: What kind of failure it is: nothing answers, too late, refused for now, refused, an error of the service itself, no
#: answer of this API.
Kind = Literal["down", "slow", "busy", "refused", "failed", "foreign"]
#: A file of a drift report.
ReportFile = Literal["report", "picture"]
Answer = TypeVar("Answer", bound=BaseModel)

_CONNECT_SECONDS: Final = 3.0
#: For an answer of `/ready`, which takes the service milliseconds.
_READY_SECONDS: Final = 2.0
_BUSY: Final = (429, 503)
#: What proxies say for a service that is gone.
_GATEWAY: Final = (502, 503, 504)
#: The service's word for an address that gave no picture; what is wrong is the address.
_NOT_FETCHED: Final = 502
_MEDIA_TYPES: Final[dict[ReportFile, str]] = {"report": "text/html", "picture": "image/png"}
_AGAIN: Final = "Please try again in a moment."
logger = logging.getLogger("mlopsproject.frontend")


class ApiError(UserError):
    """Why there is no answer, in words for the person at the browser.

    Args:
        kind: of failure.
        message: what is wrong.
        fix: what to do about it.
        status: of the API's answer, if there was one.
        retry_after: seconds after which the API wants to be asked again.
        request_id: names the request in the API's log.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        fix: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        self.request_id = request_id
        super().__init__(message, fix)

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be answered later."""
        return self.kind != "refused" or self.status in (401, 403, 408)


class _History(RootModel[list[DriftEntry]]):
    """The newest first."""


class ApiClient:
    """Talks to one API. Safe to share between threads.

    Args:
        settings: where it is, its key, and how long to wait.
    """

    def __init__(self, settings: FrontendSettings) -> None:
        headers = {"Accept": "application/json"}
        if settings.backend_api_key is not None:
            headers["X-API-Key"] = settings.backend_api_key.get_secret_value()
        self._settings = settings
        self._timeout = httpx.Timeout(
            settings.backend_timeout_seconds, connect=min(_CONNECT_SECONDS, settings.backend_timeout_seconds)
        )
        self._http = httpx.Client(
            base_url=f"{settings.backend}/", headers=headers, timeout=self._timeout, verify=_trust()
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ready(self) -> Ready:
        """Whether the API works, and what is not as it should be.

        Raises:
            ApiError: if it says nothing of the kind.
        """
        response = self._send("GET", "ready", timeout=_READY_SECONDS)
        if response.status_code == 503:
            try:
                return Ready.model_validate_json(response.content)
            except ValidationError:
                pass
        return self._read(response, Ready)

    def model(self) -> ModelInfo:
        """The model that answers.

        Raises:
            ApiError: as every method here, if there is no answer.
        """
        return self._read(self._send("GET", "model"), ModelInfo)

    def stats(self, since: datetime, until: datetime | None = None) -> Stats:
        """What the prediction log holds of a stretch of time.

        Args:
            since: its start, with an offset.
            until: its end; now, if there is none.
        """
        params = {"since": since.isoformat()} | ({"until": until.isoformat()} if until else {})
        return self._read(self._send("GET", "stats", params=params), Stats)

    def predict(self, content: bytes, face: FaceMode) -> PredictResponse:
        """Recognise a picture.

        Args:
            content: a file's bytes.
            face: which faces of it.
        """
        response = self._send("POST", "predict/", data={"face": face}, files=[_part(0, content)])
        return self._read(response, PredictResponse)

    def predict_url(self, url: str, face: FaceMode) -> PredictResponse:
        """Recognise a picture that the API fetches.

        Args:
            url: its address.
            face: which faces of it.
        """
        return self._read(self._send("POST", "predict/url", json={"url": url, "face": face}), PredictResponse)

    def batch(self, contents: Sequence[bytes], face: FaceMode) -> BatchResponse:
        """Recognise several pictures.

        Args:
            contents: the files' bytes.
            face: which faces of each.

        Returns:
            As many entries, in the same order; the files' names are not sent.
        """
        parts = [_part(number, content) for number, content in enumerate(contents)]
        answer = self._read(self._send("POST", "predict/batch", data={"face": face}, files=parts), BatchResponse)
        if len(answer.results) != len(contents):
            raise self._foreign(f"{len(answer.results)} entries for {len(contents)} pictures")
        return answer

    def explain(self, content: bytes, box: Box | None) -> ExplainResponse:
        """Ask which parts of a face an answer rests on.

        Args:
            content: the picture's bytes.
            box: the face; all of the picture if there is none.
        """
        data = {"face": "none"} if box is None else {"boxes": json.dumps([box])}
        return self._read(self._send("POST", "explain", data=data, files=[_part(0, content)]), ExplainResponse)

    def feedback(self, prediction_id: str, label: str) -> FeedbackResponse:
        """Say what a face looks like to a person.

        Args:
            prediction_id: names the answer.
            label: one of the classes.
        """
        document = {"prediction_id": prediction_id, "label": label}
        return self._read(self._send("POST", "feedback", json=document), FeedbackResponse)

    def drift(self) -> DriftReport | None:
        """The newest drift report about the model that answers, if there is one."""
        response = self._send("GET", "drift")
        if response.status_code == 404 and _problem_type(response) == "no_report":
            return None
        return self._read(response, DriftReport)

    def drift_history(self, limit: int) -> list[DriftEntry]:
        """The newest drift reports, about all models, the newest first.

        Args:
            limit: how many at most.
        """
        return self._read(self._send("GET", "drift/history", params={"limit": limit}), _History).root

    def drift_file(self, identifier: str, name: ReportFile) -> bytes:
        """A file of a drift report.

        Args:
            identifier: of the report, as the history has it.
            name: which.
        """
        response = self._send("GET", f"drift/{identifier}/{name}")
        if not response.is_success:
            raise self._problem(response)
        if not response.headers.get("content-type", "").startswith(_MEDIA_TYPES[name]):
            raise self._foreign(f"{response.url.path}: no {_MEDIA_TYPES[name]}", response.status_code)
        return response.content

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._down(error) from None
        except httpx.TimeoutException as error:
            logger.warning("%s /%s: %s", method, path, first_line(error))
            limit = options.get("timeout", self._settings.backend_timeout_seconds)
            raise ApiError("slow", f"The service took longer than {limit:g} seconds.", _AGAIN) from None
        except httpx.DecodingError as error:
            raise self._foreign(first_line(error)) from None
        except httpx.HTTPError as error:
            raise self._down(error) from None

    def _down(self, error: Exception) -> ApiError:
        logger.warning("%s does not answer: %s", self._settings.backend, first_line(error))
        start = f'Start it with "{job_command("api")}".' if self._settings.backend_is_local else "It may be starting."
        return ApiError("down", "The service does not answer.", start)

    def _foreign(self, reason: str, status: int | None = None) -> ApiError:
        logger.error("%s answers in an unknown form: %s", self._settings.backend, reason)
        fix = "BACKEND may name another server, or an API of another version."
        return ApiError("foreign", "The service answers in a form that this page does not know.", fix, status=status)

    def _read(self, response: httpx.Response, form: type[Answer]) -> Answer:
        """The body of an answer, checked against its schema."""
        if response.is_success:
            try:
                return form.model_validate_json(response.content)
            except ValidationError as error:
                raise self._foreign(f"{response.url.path}: {_first(error)}", response.status_code) from None
        raise self._problem(response)

    def _problem(self, response: httpx.Response) -> ApiError:
        """What an answer other than a success means."""
        status, after = response.status_code, _seconds(response.headers.get("retry-after", ""))
        try:
            problem = Problem.model_validate_json(response.content)
        except ValidationError:
            if status in _GATEWAY:
                return self._down(httpx.HTTPError(f"a proxy says {status}"))
            return self._foreign(f"{response.url.path}: status {status}", status)
        kind: Kind = "busy" if status in _BUSY else "refused"
        message, fix = problem.detail, ""
        if kind == "busy":
            fix = f"Please try again in {after:.0f} seconds." if after and after > 1 else _AGAIN
        elif status in (401, 403):
            message, fix = "The service asks for another API key.", "Its operator sets BACKEND_API_KEY for this page."
        elif status >= 500 and status != _NOT_FETCHED:
            kind, message, fix = "failed", "The service had an error of its own.", _AGAIN
        return ApiError(kind, message, fix, status=status, retry_after=after, request_id=problem.request_id)


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that are trusted, read once: that takes longer than all else that a session begins with."""
    return httpx.create_ssl_context()


def _part(number: int, content: bytes) -> tuple[str, tuple[str, bytes, str]]:
    """A picture as a field of a form. The service sees what it is; file names stay here."""
    return "data", (f"picture-{number}", content, "application/octet-stream")


def _seconds(retry_after: str) -> float | None:
    """The header in seconds; its other form, a date, says little if clocks differ."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None


def _problem_type(response: httpx.Response) -> str:
    try:
        return Problem.model_validate_json(response.content).type
    except ValidationError:
        return ""


def _first(error: ValidationError) -> str:
    entry = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg']}"
