"""Metrics of the newest drift report about the model that answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, get_args

from prometheus_client import Gauge

from mlopsproject.core.schemas import DriftReport, DriftVerdict, Performance, PerformanceVerdict

#: Of several workers the one that looked last knows best: another may not have seen yet that the report changed.
_MODE: Final = "livemostrecent"
#: Gauges that are 0, and not without a value, when no report says otherwise.
_ZERO: Final = ("drift_verdict", "drift_report_timestamp_seconds", "performance_verdict")

#: Makes a gauge: its name, what it is, its labels, and how those of several workers become one.
MakeGauge = Callable[[str, str, Sequence[str], str], Gauge]
#: Name of a gauge and the values of its labels.
_Key = tuple[str, ...]


class DriftMetrics:
    """The gauges that a drift report sets.

    Series of a model that no longer answers, and of what the newest report no longer says, cannot be taken out of the
    files that workers share: verdicts and times become 0, everything else NaN.
    """

    def __init__(self, make_gauge: MakeGauge) -> None:
        described = {
            "drift_verdict": ("1 for the verdict of the newest drift report.", ("model", "verdict")),
            "drift_column_distance": ("Largest gap between reference and current faces.", ("model", "column")),
            "drift_drifted_share": ("Share of the columns that drifted.", ("model",)),
            "drift_report_timestamp_seconds": ("When the newest report was made; 0 without one.", ("model",)),
            "performance_verdict": ("1 for the verdict on people's labels.", ("model", "verdict")),
            "performance_accuracy": ("Agreement with people's labels, and its interval.", ("model", "bound")),
            "performance_baseline": ("Accuracy of the bundle on its test split.", ("model",)),
        }
        self._gauges = {name: make_gauge(name, text, labels, _MODE) for name, (text, labels) in described.items()}
        self._shown: set[_Key] = set()
        self._model: str | None = None

    def show(self, model: str, report: DriftReport | None) -> None:
        """Show the newest report about the bundle that answers, if there is one."""
        values = dict(_values(model, report))
        for name, *labels in self._shown - values.keys():
            self._gauges[name].labels(*labels).set(0 if name in _ZERO else math.nan)
        for (name, *labels), value in values.items():
            self._gauges[name].labels(*labels).set(value)
        self._shown |= values.keys()
        self._model = model

    def keep(self, model: str) -> None:
        """Show no report of another model than the one that answers, when none can be read."""
        if model != self._model:
            self.show(model, None)


def _values(model: str, report: DriftReport | None) -> Iterator[tuple[_Key, float]]:
    for verdict in get_args(DriftVerdict):
        yield ("drift_verdict", model, verdict), report is not None and report.verdict == verdict
    yield ("drift_report_timestamp_seconds", model), report.created_at.timestamp() if report is not None else 0
    performance = report.performance if report is not None else None
    for verdict in get_args(PerformanceVerdict):
        yield ("performance_verdict", model, verdict), performance is not None and performance.verdict == verdict
    if report is not None:
        for column in report.columns:
            yield ("drift_column_distance", model, column.column), column.distance
        if report.drifted_share is not None:
            yield ("drift_drifted_share", model), report.drifted_share
    if performance is not None:
        yield from _performance_values(model, performance)


def _performance_values(model: str, performance: Performance) -> Iterator[tuple[_Key, float]]:
    yield ("performance_baseline", model), performance.baseline
    bounds = {"estimate": performance.accuracy, "low": performance.low, "high": performance.high}
    for bound, value in bounds.items():
        if value is not None:
            yield ("performance_accuracy", model, bound), value
