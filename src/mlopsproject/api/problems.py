"""What goes wrong in a request, as exceptions that the application answers with problem documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from mlopsproject.core.errors import ImageError, StoreError
from mlopsproject.core.problems import describe, image_status, problem_document
from mlopsproject.prediction_log.errors import LogOff, LogUnavailable

#: Seconds after which a refused caller may try again.
RETRY_AFTER: Final = {"Retry-After": "1"}
#: What the framework refuses by itself.
_KINDS: Final = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}
_DETAILS: Final = {404: "There is nothing at this address.", 405: "This address does not take that method."}


class ProblemError(HTTPException):
    """A request that is answered with a problem. FastAPI lets it through where it would hide other errors.

    Args:
        status: of the answer.
        kind: a stable word for programs.
        detail: a sentence for people; it repeats nothing secret.
        headers: more headers of the answer.
        inside: the sentence for those who run the service; it may name paths and addresses of theirs.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        inside: str | None = None,
    ) -> None:
        self.kind = kind
        self.inside = inside
        super().__init__(status, detail, headers)

    def document(self, request_id: str, *, trusted: bool = False) -> dict[str, Any]:
        """The problem as `schemas.Problem` has it.

        Args:
            request_id: of the request.
            trusted: the caller may know what is wrong inside.
        """
        detail = self.inside if trusted and self.inside else self.detail
        return problem_document(self.status_code, self.kind, detail, request_id)


def as_problem(error: Exception) -> ProblemError | None:
    """What an exception says to the caller; `None` if it is a bug."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, HTTPException):
        status = error.status_code
        detail = _DETAILS.get(status, error.detail)
        return ProblemError(status, _KINDS.get(status, "refused"), detail, error.headers)
    if isinstance(error, RequestValidationError):
        return invalid(describe(error.errors()))
    if isinstance(error, ImageError):
        return ProblemError(image_status(error.reason), error.reason, error.message)
    if isinstance(error, LogOff):
        return ProblemError(404, "log_off", "This service keeps no prediction log.", inside=error.message)
    if isinstance(error, LogUnavailable):
        return busy("The prediction log cannot be used for now.", "log_unavailable", error.message)
    if isinstance(error, StoreError):
        return ProblemError(503, "unreadable_report", "The drift report cannot be read.", inside=str(error))
    return None


def busy(detail: str, kind: str = "busy", inside: str | None = None) -> ProblemError:
    """The answer when a request cannot be served for now."""
    return ProblemError(503, kind, detail, RETRY_AFTER, inside)


def invalid(detail: str, kind: str = "invalid") -> ProblemError:
    """The answer to a request that lacks something, or says something impossible."""
    return ProblemError(422, kind, detail)
