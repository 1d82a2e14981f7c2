"""What the API says and takes, as pydantic models: the server documents them, clients and the frontend read them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

#: x, y, width, height in pixels of the upright picture, from its upper left corner.
Box = Annotated[
    tuple[int, int, int, int],
    # Said more simply than pydantic does, for the sake of client generators.
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}),
]
FaceMode = Literal["auto", "all", "none"]
#: How a face came to be scored: found by the detector, named by the caller, searched for in vain (the whole picture was
#: scored), or not searched for.
FaceSearch = Literal["found", "given", "not_found", "skipped"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Answer(BaseModel):
    """The apparent expression of one face, not what the person feels."""

    predicted_emotion: str = Field(description="the most probable class", examples=["happy"])
    confidence: Probability = Field(description="its calibrated probability")
    uncertain: bool = Field(description="below the model's abstain threshold: treat it as no answer")
    probabilities: dict[str, float] = Field(description="calibrated, by class; they sum to 1")
    probs: list[float] = Field(description="the same in the order of the model's classes")


class FaceAnswer(Answer):
    """One face of a picture."""

    prediction_id: str = Field(description="names this answer, in the log and for feedback")
    box: Box | None = Field(description="where the face is; null if the whole picture was scored")


_ANSWER_EXAMPLE: dict[str, Any] = {
    "request_id": "5f0c8a4b9d3e4c5f8a7b6c5d4e3f2a1b",
    "model_version": "fer2013-fine-five-all-0890d27075a5",
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
    """One picture; the top level repeats the largest face."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER_EXAMPLE]})

    request_id: str
    model_version: str
    face: Box | None = Field(description="box of the largest face; null if the whole picture was scored")
    face_search: FaceSearch = Field(description="`not_found`: a face was searched for in vain; trust the answer less")
    faces: list[FaceAnswer] = Field(description="largest first; faces that the caller named, in the caller's order")


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
    """What a person says the expression looks like."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: str = Field(pattern=r"^[0-9a-f]{32}$", examples=["0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e"])
    label: str = Field(min_length=1, max_length=64, examples=["sad"])


class FeedbackResponse(BaseModel):
    """Feedback that was taken down."""

    prediction_id: str
    label: str
    agrees: bool = Field(description="whether the label is what the model said")


class Welcome(BaseModel):
    """`GET /` for programs."""

    message: str
    model_version: str
    classes: list[str]
    docs: str


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Whether requests should be sent here, and what is not as it should be."""

    status: Literal["ok", "degraded", "not_ready"]
    model_version: str | None
    checks: dict[str, str] = Field(description="`ok` or another stable word, by part: model, log, database, …")
    details: dict[str, str] = Field(
        default={},
        description="what is wrong, by part; only for callers with the API key or, without one, of this machine",
    )


class ModelInfo(BaseModel):
    """The model that answers."""

    model_version: str
    precision: str
    spec: dict[str, Any]


class ClassCount(BaseModel):
    """How often a class was answered."""

    label: str
    count: int
    uncertain: int
    mean_confidence: float


class TimeBucket(BaseModel):
    """Answers, and feedback, within one stretch of time."""

    start: datetime
    count: int
    uncertain: int
    mean_confidence: float
    classes: dict[str, int] = Field(description="answers by class, those that occur")
    feedback: int = Field(description="answers that were given feedback meanwhile, whenever they were made")
    feedback_agrees: int = Field(description="of these, those whose class the newest label names")


class ModelCount(BaseModel):
    """What one model answered."""

    model_version: str
    count: int
    first: datetime = Field(description="its first answer of this time")
    last: datetime


class Stats(BaseModel):
    """What the prediction log holds."""

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
    pending: int = Field(description="rows of the machine that answered that wait for PostgreSQL")


DriftVerdict = Literal["ok", "drift", "not_enough_data"]
#: `chosen_labels`: those who gave the labels chose the faces, so that their accuracy says little about the others.
PerformanceVerdict = Literal["ok", "decay", "not_enough_data", "chosen_labels"]


class ColumnDrift(BaseModel):
    """One column: the bundle's reference against the current data."""

    column: str = Field(description="brightness, contrast, sharpness, confidence, predicted, embedding, …")
    test: str = Field(description="of the hypothesis that both come from one distribution: ks, chisquare or mannw")
    p_value: Probability
    threshold: Probability = Field(description="the p-value has to be below: the run's chance of a false alarm shared")
    distance: Probability = Field(description="largest gap between the two distributions, as a share of the pictures")
    min_distance: Probability = Field(description="the distance has to reach this for the difference to matter")
    drifted: bool
    reference: dict[str, float] = Field(description="mean and sd, or the share of each class")
    current: dict[str, float] = Field(description="likewise")


class Performance(BaseModel):
    """How often the model agrees with labels that people gave, against what it reached on test."""

    verdict: PerformanceVerdict
    labels: int = Field(description="labelled faces")
    correct: int
    accuracy: Probability | None = Field(description="null without labels")
    low: Probability | None = Field(description="of its interval")
    high: Probability | None
    confidence: Probability = Field(description="of the interval, such as 0.95")
    baseline: Probability = Field(description="the bundle's accuracy on its test split")
    margin: Probability = Field(description="below the baseline by more than this is decay")
    per_class: dict[str, tuple[int, int]] = Field(description="labels and agreements by label")
    source: Literal["feedback", "dataset"]
    selection_p_value: Probability | None = Field(
        default=None, description="of the hypothesis that labelled faces are a random sample of the answered ones"
    )
    note: str = Field(description="how far the figure can be trusted, in a sentence")


class DriftReport(BaseModel):
    """What a drift run found (`drift.json`)."""

    verdict: DriftVerdict
    bundle: str = Field(description="name of the bundle whose reference was compared with")
    created_at: datetime
    source: Literal["log", "pictures", "dataset"]
    current: str = Field(description="the folder, the data set, or `log`")
    since: datetime | None = Field(default=None, description="of the log")
    until: datetime | None = None
    reference_rows: int
    current_rows: int = Field(description="different faces that were compared")
    repeated_rows: int = Field(default=0, description="further ones that repeat one of them")
    unusable: dict[str, int] = Field(default={}, description="pictures that could not be read, by reason")
    min_rows: int = Field(description="below this many current rows nothing is concluded")
    alpha: Probability = Field(description="chance of a false alarm of the whole run")
    drifted_share: Probability | None = Field(description="share of the columns that drifted; null if none was tested")
    columns: list[ColumnDrift] = Field(description="the furthest moved first")
    performance: Performance | None = None
    report: str = Field(default="", description="where the report's folder is")
    seconds: float


class DriftEntry(BaseModel):
    """One report of the drift history."""

    id: str = Field(description="names the report; sorts by time")
    report: DriftReport


class Problem(BaseModel):
    """RFC 9457 problem details, media type `application/problem+json`."""

    type: str = Field(description="a stable word, such as `truncated` or `too_large`", examples=["not_an_image"])
    title: str
    status: int
    detail: str
    request_id: str


BatchEntry.model_rebuild()
