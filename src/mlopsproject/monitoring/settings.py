"""Settings of drift detection and of the performance verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.image_statistics import STATISTICS

#: Columns that are numbers of every face, the network's embedding apart.
NUMBERS: Final = (*STATISTICS, "width", "height", "confidence")
PREDICTED: Final = "predicted"
EMBEDDING: Final = "embedding"


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """Settings of drift detection; see `configs/detect/default.yaml`.

    Attributes:
        columns: that are tested.
        alpha: false-alarm rate of a run, 0-1.
        min_distance: smallest distance of two distributions that counts as drift, 0-1.
        min_rows: smallest number of distinct faces on either side.
        max_rows: largest number of rows that are read from the log.
        seed: of the domain classifier's folds.
    """

    columns: tuple[str, ...]
    alpha: float
    min_distance: float
    min_rows: int
    max_rows: int
    seed: int

    @classmethod
    def of(cls, settings: Mapping[str, Any], classes: tuple[str, ...]) -> Self:
        """Read the config's `detect` group.

        Args:
            settings: the group.
            classes: of the bundle.

        Raises:
            ConfigError: for a value that is not possible.
        """
        columns = settings["columns"]
        if not isinstance(columns, list) or not columns:
            raise ConfigError(f"detect.columns={columns} is not possible.", "Give a list such as [brightness].")
        known = (*NUMBERS, PREDICTED, EMBEDDING, *(f"p_{name}" for name in classes))
        for column in columns:
            check_choice("detect.columns", column, known)
        check_number("detect.alpha", settings["alpha"], highest=1, open_ends=True)
        check_number("detect.min_distance", settings["min_distance"], highest=1)
        check_whole("detect.min_rows", settings["min_rows"], lowest=20)
        check_whole("detect.max_rows", settings["max_rows"], lowest=settings["min_rows"])
        check_whole("detect.seed", settings["seed"], lowest=0, highest=2**32 - 1)
        return cls(tuple(dict.fromkeys(columns)), **{key: settings[key] for key in settings if key != "columns"})

    def without(self, column: str) -> Self:
        """The same settings without a column, for a source that lacks it.

        Raises:
            ConfigError: if nothing is left to test.
        """
        columns = tuple(name for name in self.columns if name != column)
        if not columns:
            raise ConfigError(f"detect.columns=[{column}] leaves nothing to test: the log has no {column}.")
        return replace(self, columns=columns)

    @property
    def threshold(self) -> float:
        """Significance level of each column: `alpha` divided by the number of columns (Bonferroni)."""
        return self.alpha / len(self.columns)


@dataclass(frozen=True, slots=True)
class DecaySettings:
    """Settings of the performance verdict; see `configs/decay/default.yaml`.

    Attributes:
        min_labels: smallest number of labelled faces.
        margin: tolerated loss against the bundle's test accuracy, 0-1.
        confidence: level of the interval of the accuracy, 0-1.
    """

    min_labels: int
    margin: float
    confidence: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Read the config's `decay` group.

        Raises:
            ConfigError: for a value that is not possible.
        """
        check_whole("decay.min_labels", settings["min_labels"], lowest=1)
        check_number("decay.margin", settings["margin"], highest=1)
        check_number("decay.confidence", settings["confidence"], highest=1, open_ends=True)
        return cls(**settings)
