"""Problem documents of RFC 9457: what a caller over HTTP is told when something cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

MEDIA_TYPE: Final = "application/problem+json"
_IMAGE_STATUS: Final = {"unsupported": 415, "too_large": 413, "too_costly": 413, "invalid_boxes": 422}
#: Of what is wrong with a request so much is said.
_MOST_SAID: Final = 5
_LONGEST_NAME: Final = 64
_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}  # renamed in Python 3.13


def problem_document(status: int, kind: str, detail: str, request_id: str) -> dict[str, Any]:
    """The problem as `schemas.Problem` has it.

    Args:
        status: of the answer.
        kind: a stable word for programs.
        detail: a sentence for people; it repeats nothing secret.
        request_id: of the request.
    """
    return {"type": kind, "title": title(status), "status": status, "detail": detail, "request_id": request_id}


def title(status: int) -> str:
    """The status's name, the same on every Python."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def image_status(reason: str) -> int:
    """The status for a picture that cannot be used, by the reason of its `ImageError`."""
    return _IMAGE_STATUS.get(reason, 400)


def describe(errors: Sequence[Any]) -> str:
    """Pydantic's list of what is wrong with a request as one sentence; without the values sent."""
    sentences = []
    for error in errors[:_MOST_SAID]:
        # Names of unknown fields are the caller's, and as long as they like.
        where = ".".join(str(part)[:_LONGEST_NAME] for part in error["loc"] if part != "body")
        sentences.append(f"{where}: {error['msg']}" if where else str(error["msg"]))
    if len(errors) > _MOST_SAID:
        sentences.append(f"and {len(errors) - _MOST_SAID} more")
    return f"{'; '.join(sentences)}."
