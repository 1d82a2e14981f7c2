"""The rows of the prediction log. No pixels, no file names, no addresses of callers."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal

#: Of the rows' fields. It stands in every line; one that has none is of version 1.
VERSION: Final = 1
#: By kind, what rows of older versions have for fields that they lack.
DEFAULTS: Final[dict[str, dict[str, Any]]] = {"prediction": {}, "feedback": {}}

#: Where a picture came from.
Source = Literal["upload", "batch", "url"]


def new_id() -> str:
    """A random identifier: 32 hex digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One answered face.

    Attributes:
        prediction_id: 32 hex digits, unique.
        request_id: of the request that it was part of.
        created_at: Unix time in seconds.
        model_version: name of the bundle that answered.
        precision: `fp32` or `int8`.
        source: `upload`, `batch` or `url`.
        predicted: the most probable class.
        confidence: its calibrated probability, 0-1.
        uncertain: below the abstain threshold.
        probabilities: calibrated, by class.
        face_search: see `schemas.FaceSearch`.
        box: x, y, width, height of the face in pixels of the upright picture; `None` for all of it.
        width: of the picture as sent, in pixels.
        height: of the picture as sent, in pixels.
        brightness: of the network's gray input, as `core.image_statistics` measures it.
        contrast: likewise.
        sharpness: likewise.
        latency_ms: from the request's arrival to its answer, without the wait for the log.
    """

    prediction_id: str
    request_id: str
    created_at: float
    model_version: str
    precision: str
    source: Source
    predicted: str
    confidence: float
    uncertain: bool
    probabilities: dict[str, float]
    face_search: str
    box: tuple[int, int, int, int] | None
    width: int
    height: int
    brightness: float
    contrast: float
    sharpness: float
    latency_ms: float


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """What a person says an answered face looks like.

    Attributes:
        prediction_id: of the answer.
        label: a class of the model that answered.
        feedback_id: 32 hex digits, unique.
        created_at: Unix time in seconds.
    """

    prediction_id: str
    label: str
    feedback_id: str = field(default_factory=new_id)
    created_at: float = field(default_factory=time.time)


Row = PredictionRow | FeedbackRow
_KINDS: Final[dict[str, type[PredictionRow] | type[FeedbackRow]]] = {
    "prediction": PredictionRow,
    "feedback": FeedbackRow,
}
_NAMES: Final = {kind: {part.name for part in fields(row)} for kind, row in _KINDS.items()}


def to_document(row: Row) -> dict[str, Any]:
    """A row as plain JSON values, with its `kind` and `version`."""
    kind = "prediction" if isinstance(row, PredictionRow) else "feedback"
    return {"kind": kind, **asdict(row), "version": VERSION}


def version_of(document: dict[str, Any]) -> int:
    """The version of the program's rows that a document was written with."""
    version = document.get("version", 1)
    return version if isinstance(version, int) else 1


def is_newer(document: dict[str, Any]) -> bool:
    """Whether a newer version of the program wrote a document."""
    return version_of(document) > VERSION


def take_values(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of a document's row, and its values by field; those that it is too old to have are filled in.

    The document is used up.

    Raises:
        ValueError: if it is no row that this version knows.
    """
    kind, version = str(document.pop("kind", None)), version_of(document)
    document.pop("version", None)
    names = _NAMES.get(kind)
    if names is None:
        raise ValueError(f"a row of kind {kind!r} is unknown")
    if version < VERSION:
        known = {**DEFAULTS[kind], **document}
        document = {name: known[name] for name in names if name in known}
    if document.keys() != names:
        raise ValueError("not a row that this version of the program knows")
    return kind, document


def from_document(document: dict[str, Any]) -> Row:
    """The row that `to_document` wrote.

    Raises:
        ValueError: if it is none.
    """
    kind, values = take_values(dict(document))
    if values.get("box") is not None:
        values["box"] = tuple(values["box"])
    return _KINDS[kind](**values)
