"""What goes wrong, said as RFC 9457 problem documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic_core import to_json
from starlette.exceptions import HTTPException

from mlopsproject.core.errors import ImageError

MEDIA_TYPE: Final = "application/problem+json"
#: Seconds after which a refused caller may try again.
RETRY_AFTER: Final = {"Retry-After": "1"}
#: Answer to a picture that cannot be used, by the reason that decoding gives; 400 for any other.
_IMAGE_STATUS: Final = {"unsupported": 415, "too_large": 413, "too_costly": 413, "invalid_boxes": 422}
#: Words for what the framework refuses by itself.
_KINDS: Final = {400: "malformed", 404: "not_found", 405: "method_not_allowed"}
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}  # renamed in Python 3.13


class ProblemError(HTTPException):
    """A request that is answered with a problem.

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

    @classmethod
    def of(cls, error: HTTPException) -> ProblemError:
        """What the framework raised, as a problem."""
        if isinstance(error, cls):
            return error
        detail = {404: "There is nothing at this address.", 405: "This address does not take that method."}
        text = detail.get(error.status_code, error.detail)
        return cls(error.status_code, _KINDS.get(error.status_code, "refused"), text, error.headers)

    def document(self, request_id: str, *, trusted: bool = False) -> dict[str, Any]:
        """The problem as `schemas.Problem` has it.

        Args:
            request_id: of the request.
            trusted: the caller may know what is wrong inside.
        """
        return {
            "type": self.kind,
            "title": title(self.status_code),
            "status": self.status_code,
            "detail": self.inside if trusted and self.inside else self.detail,
            "request_id": request_id,
        }

    def body(self, request_id: str, *, trusted: bool = False) -> bytes:
        """The problem as JSON, see `document`."""
        return to_json(self.document(request_id, trusted=trusted))


def title(status: int) -> str:
    """The status's name, the same on every Python."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def image_problem(error: ImageError) -> ProblemError:
    """The answer to a picture that cannot be used."""
    return ProblemError(_IMAGE_STATUS.get(error.reason, 400), error.reason, error.message)


def busy(detail: str, kind: str = "busy", inside: str | None = None) -> ProblemError:
    """The answer when a request cannot be served for now."""
    return ProblemError(503, kind, detail, RETRY_AFTER, inside)


def invalid(detail: str, kind: str = "invalid") -> ProblemError:
    """The answer to a request that lacks something, or says something impossible."""
    return ProblemError(422, kind, detail)


def describe(errors: Sequence[Any]) -> str:
    """FastAPI's list of what is wrong with a request as one sentence; without the values sent."""
    sentences = []
    for error in errors:
        where = ".".join(str(part) for part in error["loc"] if part != "body")
        sentences.append(f"{where}: {error['msg']}" if where else str(error["msg"]))
    return f"{'; '.join(sentences)}."
