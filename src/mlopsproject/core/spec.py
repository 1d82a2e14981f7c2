"""ModelSpec: preprocessing, labels and metadata of a model, stored as `spec.json` of its bundle."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION: Final = 1
Precision = Literal["fp32", "int8"]
ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _plain(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a class's name is text that can be printed")
    return name


#: Printable and short, because it is part of answers, metrics, tables and file names.
_ClassName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_plain)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSpec(_Strict):
    """Preprocessing of pictures to the network's input `image`, float32 `[N, channels, size, size]`.

    Input values are ``(uint8 / 255 - mean) / std``, per channel.
    """

    size: int = Field(ge=8, le=1024)
    channels: Literal[1, 3] = 1
    resize_filter: ResizeFilter = "bilinear"
    mean: tuple[_Finite, ...] = (0.5,)
    std: tuple[_Finite, ...] = (0.25,)

    @model_validator(mode="after")
    def _lengths_match(self) -> Self:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} value(s), one per channel")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self


class PrecisionSpec(_Strict):
    """One exported network file, with the temperature and abstain threshold fitted on validation images."""

    file: str
    temperature: float = Field(default=1.0, ge=1e-3, le=1e3)
    abstain_threshold: float = Field(default=0.0, ge=0, le=1)


class Histogram(_Strict):
    """Reference distribution of one image statistic over the validation images."""

    edges: tuple[_Finite, ...]
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _edges_enclose_counts(self) -> Self:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError("a histogram has one more edge than counts")
        return self


class ModelSpec(_Strict):
    """Content of a bundle's `spec.json`. `name` and `files` are filled in when the bundle is sealed."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str = ""
    classes: tuple[_ClassName, ...] = Field(min_length=2, max_length=1000)
    input: InputSpec
    precisions: dict[Precision, PrecisionSpec]
    default_precision: Precision = "fp32"
    network: dict[str, Any] = Field(default_factory=dict, description="network name, parameters, MACs and arguments")
    training_data: dict[str, Any] = Field(default_factory=dict, description="data set name, fingerprint and counts")
    training: dict[str, Any] = Field(default_factory=dict, description="command, seed, epochs, seconds and machine")
    metrics: dict[str, float] = Field(default_factory=dict, description="headline metrics, e.g. test/accuracy")
    reference_histograms: dict[str, Histogram] = Field(default_factory=dict)
    git_commit: str = ""
    library_versions: dict[str, str] = Field(default_factory=dict)
    created_at: str = Field(default="", description="UTC, ISO 8601")
    files: dict[str, str] = Field(default_factory=dict, description="SHA-256 of every other file of the bundle")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must differ from each other")
        if self.default_precision not in self.precisions:
            raise ValueError(f"default_precision {self.default_precision!r} has no entry in precisions")
        return self
