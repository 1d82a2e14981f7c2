"""Pydantic models of the API's requests and responses, which its clients and the frontend use, too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

#: x, y, width, height in pixels of the upright picture, from its upper left corner.
Box = Annotated[
    tuple[int, int, int, int],
    # Simpler than pydantic's schema of a tuple, which some client generators do not support.
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}),
]
FaceMode = Literal["auto", "all", "none"]
#: How the faces were found: by the detector, given by the caller, none detected (the whole picture was scored), or
#: detection skipped.
FaceSearch = Literal["found", "given", "not_found", "skipped"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """The apparent expression of one face, not what the person feels."""

    predicted_emotion: str = Field(description="the most probable class", examples=["happy"])
    confidence: Probability = Field(description="its calibrated probability")
    uncertain: bool = Field(description="below the model's abstain threshold: treat it as no answer")
    probabilities: dict[str, float] = Field(description="calibrated, by class; they sum to 1")
    probs: list[float] = Field(description="the same values in the order of the model's classes")


class FaceAnswer(Answer):
    """One face of a picture."""

    prediction_id: str = Field(description="identifies this answer in the log and for feedback")
    box: Box | None = Field(description="where the face is; null if the whole picture was scored")


_ANSWER_EXAMPLE: dict[str, Any] = {
    "request_id": "5f0c8a4b9d3e4c5f8a7b6c5d4e3f2a1b",
    "model_version": "ferplus-five-29dc87f8d684",
    "predicted_emotion": "happy",
    "confidence": 0.93,
    "uncertain": False,
    "probabilities": {"angry": 0.01, "fear": 0.01, "happy": 0.93, "sad": 0.01, "surprise": 0.04},
    "probs": [0.01, 0.01, 0.93, 0.01, 0.04],
    "face": [112, 64, 180, 180],
    "face_search": "found",
    "faces": [
        {
            "prediction_id": "0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e",
            "box": [112, 64, 180, 180],
            "predicted_emotion": "happy",
            "confidence": 0.93,
            "uncertain": False,
            "probabilities": {"angry": 0.01, "fear": 0.01, "happy": 0.93, "sad": 0.01, "surprise": 0.04},
            "probs": [0.01, 0.01, 0.93, 0.01, 0.04],
        }
    ],
}


class PredictResponse(Answer):
    """The answer on one picture; the top level repeats the largest face."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER_EXAMPLE]})

    request_id: str
    model_version: str
    face: Box | None = Field(description="box of the largest face; null if the whole picture was scored")
    face_search: FaceSearch = Field(description="`not_found`: no face was detected; the answer is less reliable")
    faces: list[FaceAnswer] = Field(description="largest first; faces given by the caller, in the caller's order")


class BatchEntry(BaseModel):
    """One file of a batch: an answer or a problem."""

    file: str = Field(description="as the caller named it")
    result: PredictResponse | None = None
    problem: Problem | None = None


class BatchResponse(BaseModel):
    """The files of a batch, in the caller's order."""

    request_id: str
    model_version: str
    answered: int
    failed: int
    results: list[BatchEntry]


class UrlRequest(BaseModel):
    """A picture to fetch from a public http(s) address."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        max_length=2048,
        pattern="^[hH][tT][tT][pP][sS]?://",
        json_schema_extra={"format": "uri"},
        examples=["https://example.org/face.jpg"],
    )
    face: FaceMode = "auto"


class ExplainResponse(BaseModel):
    """Which parts of a face the answer rests on: the class's log-odds lost when a part is covered."""

    request_id: str
    model_version: str
    predicted_emotion: str
    confidence: Probability
    box: Box | None = Field(description="the part of the picture that the map lies over; null for all of it")
    heatmap: list[list[float]] = Field(
        description="rows from the top; calibrated log-odds, log(p / (1 - p)), that the class loses when the cell is "
        "covered: a loss of 1 divides its odds by e; negative where it gains"
    )


class FeedbackRequest(BaseModel):
    """A person's label of an answered face."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: str = Field(pattern=r"^[0-9a-f]{32}$", examples=["0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e"])
    label: str = Field(min_length=1, max_length=64, examples=["sad"])


class FeedbackResponse(BaseModel):
    """Feedback that was stored."""

    prediction_id: str
    label: str
    agrees: bool = Field(description="whether the label equals the predicted class")


class Welcome(BaseModel):
    """Response of `GET /` in JSON."""

    message: str
    model_version: str
    classes: list[str]
    docs: str


class Health(BaseModel):
    """Liveness: the process is running."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Readiness: whether requests should be sent here, and the state of each part."""

    status: Literal["ok", "degraded", "not_ready"]
    model_version: str | None
    checks: dict[str, str] = Field(description="part (model, log, database, …) → `ok` or another stable identifier")
    details: dict[str, str] = Field(
        default={},
        description="what is wrong, by part; only for callers with the API key or, without one, of this machine",
    )


class ModelInfo(BaseModel):
    """The model that is served."""

    model_version: str
    precision: str
    spec: dict[str, Any]


class ClassCount(BaseModel):
    """Answers with one predicted class."""

    label: str
    count: int
    uncertain: int
    mean_confidence: float


class TimeBucket(BaseModel):
    """Answers and feedback within one interval of time."""

    start: datetime
    count: int
    uncertain: int
    mean_confidence: float
    classes: dict[str, int] = Field(description="predicted class → answers; classes without answers are left out")
    feedback: int = Field(description="answers that received feedback in the interval, whenever they were made")
    feedback_agrees: int = Field(description="of these, those whose class equals the newest label")


class ModelCount(BaseModel):
    """Answers of one model."""

    model_version: str
    count: int
    first: datetime = Field(description="its first answer within the requested time")
    last: datetime


class Stats(BaseModel):
    """Summary of the prediction log between two times."""

    since: datetime
    until: datetime
    total: int
    uncertain: int
    mean_confidence: float | None
    mean_latency_ms: float | None = Field(description="of the newest 1,000 answers")
    classes: list[ClassCount]
    timeline: list[TimeBucket]
    models: list[ModelCount] = Field(description="in the order of their first answers")
    feedback: int
    feedback_agrees: int
    statistics: dict[str, float] = Field(
        description="means of brightness, contrast and sharpness, of the newest 1,000 answers"
    )
    pending: int = Field(description="rows on the answering machine that are not yet written to PostgreSQL")


DriftVerdict = Literal["ok", "drift", "not_enough_data"]
#: `chosen_labels`: the labelled faces are not a random sample, so that their accuracy does not hold for the others.
PerformanceVerdict = Literal["ok", "decay", "not_enough_data", "chosen_labels"]


class ColumnDrift(BaseModel):
    """Test of one column: the bundle's reference data against the current data."""

    column: str = Field(description="brightness, contrast, sharpness, confidence, predicted, embedding, …")
    test: str = Field(description="of the hypothesis that both have one distribution: ks, chi2_contingency or mannw")
    p_value: Probability
    threshold: Probability = Field(description="significance level: alpha of the run divided by the number of columns")
    distance: Probability = Field(description="Kolmogorov-Smirnov statistic; of classes the total variation distance")
    min_distance: Probability = Field(description="smaller distances are not drift")
    drifted: bool
    reference: dict[str, float] = Field(description="mean and sd, or the share of each class")
    current: dict[str, float] = Field(description="likewise")


class Performance(BaseModel):
    """Accuracy on labelled current faces, against the bundle's accuracy on its test split."""

    verdict: PerformanceVerdict
    labels: int = Field(description="labelled faces")
    correct: int
    accuracy: Probability | None = Field(description="null without labels")
    low: Probability | None = Field(description="lower end of its interval")
    high: Probability | None = Field(description="upper end of its interval")
    confidence: Probability = Field(description="level of the interval, such as 0.95")
    baseline: Probability = Field(description="the bundle's accuracy on its test split")
    margin: Probability = Field(description="decay: the whole interval is below the baseline by more than this")
    per_class: dict[str, tuple[int, int]] = Field(description="label → labelled faces and correct answers")
    source: Literal["feedback", "dataset"]
    selection_p_value: Probability | None = Field(
        default=None, description="of the hypothesis that labelled faces are a random sample of the answered ones"
    )
    note: str = Field(description="how reliable the accuracy is, in a sentence")


class DriftReport(BaseModel):
    """Result of a drift run (`drift.json`)."""

    verdict: DriftVerdict
    bundle: str = Field(description="name of the bundle whose reference data were used")
    created_at: datetime
    source: Literal["log", "pictures", "dataset"]
    current: str = Field(description="the folder, the data set, or `log`")
    since: datetime | None = Field(default=None, description="of the log")
    until: datetime | None = None
    reference_rows: int
    current_rows: int = Field(description="distinct faces that were compared")
    repeated_rows: int = Field(default=0, description="repetitions of these, which were left out")
    unusable: dict[str, int] = Field(default={}, description="pictures that could not be read, by reason")
    min_rows: int = Field(description="with fewer rows on either side nothing is tested")
    alpha: Probability = Field(description="false-alarm rate of the whole run")
    drifted_share: Probability | None = Field(description="share of the columns that drifted; null if none was tested")
    columns: list[ColumnDrift] = Field(description="the largest distance first")
    performance: Performance | None = None
    report: str = Field(default="", description="address of the report's folder")
    seconds: float


class DriftEntry(BaseModel):
    """One report of the drift history."""

    id: str = Field(description="id of the report; ids sort by time")
    report: DriftReport


class Problem(BaseModel):
    """RFC 9457 problem details, media type `application/problem+json`."""

    type: str = Field(description="a stable identifier, such as `truncated` or `too_large`", examples=["not_an_image"])
    title: str
    status: int
    detail: str
    request_id: str


BatchEntry.model_rebuild()
