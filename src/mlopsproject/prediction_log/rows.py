"""The rows of the prediction log. No pixels, no file names, no addresses of callers."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Literal

#: Where a picture came from.
Source = Literal["upload", "batch", "url"]


def new_id() -> str:
    """A random identifier: 32 hex digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One answered face. Each field is a column of the same name, but the box, which has four.

    Attributes:
        prediction_id: 32 hex digits, unique.
        request_id: of the request that it was part of.
        created_at: Unix time in seconds.
        model_version: name of the bundle that answered.
        precision: `fp32` or `int8`.
        predicted: the most probable class; its calibrated probability, 0-1, is the `confidence`.
        uncertain: below the abstain threshold.
        probabilities: calibrated, by class.
        face_search: see `schemas.FaceSearch`.
        box: x, y, width, height of the face in pixels of the upright picture; `None` for all of it.
        width: of the picture as sent, in pixels, like `height`.
        brightness: of the network's gray input, like `contrast` and `sharpness`; see `core.image_statistics`.
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
