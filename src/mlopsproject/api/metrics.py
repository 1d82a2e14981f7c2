"""Prometheus metrics of the service; right with one worker process and with several.

Every name begins with `mlopsproject_`. Labels have few values: routes are templates, and what matches none is `other`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import accumulate, pairwise, product
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    platform_collector,
    process_collector,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

from mlopsproject.api.drift_metrics import DriftMetrics
from mlopsproject.api.multiprocess import forget_dead_workers, shared_folder
from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.schemas import FaceSearch
from mlopsproject.core.spec import ModelSpec, Precision
from mlopsproject.prediction_log.log import LogStatus
from mlopsproject.prediction_log.rows import PredictionRow

#: What is measured per face, each a histogram with the edges of the bundle's reference.
MEASURED: Final = (*STATISTICS, "confidence")
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: Edges for a bundle that has no reference.
_PLAIN_EDGES: Final = tuple(step / 20 for step in range(21))
_LOG_STATES: Final = ("ok", "degraded", "failing")

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of a process, and of its sister processes when they share a folder."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._folder = shared_folder()
        self._measured: dict[str, Histogram] = {}
        self._edges: dict[str, tuple[float, ...]] = {}
        self._model: tuple[str, str] | None = None
        self._dropped = 0
        self._dropped_lock = threading.Lock()
        labels = ("method", "route", "status")
        self._request_count = self._counter("requests", "Requests that were answered.", labels)
        text = "Time from a request's arrival to the end of its answer."
        self._request_seconds = self._histogram("request_duration_seconds", text, _SECONDS, labels)
        text = "Requests that are worked on or wait, of all workers."
        self.in_progress = self._gauge("requests_in_progress", text, mode="livesum")
        self._pictures = self._counter("pictures", "Pictures that were scored, by how a face was found.", ["search"])
        self.feedback = self._counter("feedback", "Feedback that was taken down.", ["agrees"])
        labels = ("model", "predicted", "uncertain")
        self._predictions = self._counter("predictions", "Faces that were answered.", labels)
        self.reloads = self._counter("model_reloads", "Times that the alias had moved.", ["outcome"])
        for outcome in ("ok", "failed"):
            self.reloads.labels(outcome)
        text = "1 while the model that the alias names cannot be loaded."
        self.reload_failing = self._gauge("model_reload_failing", text)
        self._info = self._gauge("model_info", "1 for the model that answers.", ["model", "precision"])
        text = "Share of the reference's pictures at or below an edge of their histogram."
        self._reference = self._gauge("reference_cumulative_share", text, ["model", "measure", "le"])
        text = "Mean of the reference's pictures, from their histogram."
        self._reference_mean = self._gauge("reference_mean", text, ["model", "measure"])
        self._make_log_metrics()
        #: Of the newest drift report about the model that answers.
        self.drift = DriftMetrics(self._gauge)
        if self._folder is None:
            process_collector.ProcessCollector(registry=self.registry)
            platform_collector.PlatformCollector(registry=self.registry)

    def _make_log_metrics(self) -> None:
        self._log_state = self._gauge("log_state", "1 for the state the prediction log is in.", ["state"])
        self._database_up = self._gauge("log_database_up", "Whether the log's database takes rows.", mode="livemin")
        self._log_rows = self._gauge("log_queue_rows", "Rows that wait for PostgreSQL.")
        self._log_bytes = self._gauge("log_queue_bytes", "What their database takes on the disk.")
        self._log_age = self._gauge("log_queue_age_seconds", "Age of the oldest of them.")
        self._log_dropped = self._counter("log_dropped_rows", "Rows that could not be kept and were dropped.")
        self._log_refused = self._gauge("log_refused_rows", "Rows that PostgreSQL did not take.")

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered by a route, given as its template or `other`."""
        labels = (method if method in _METHODS else "other", route, str(status))
        self._request_count.labels(*labels).inc()
        self._request_seconds.labels(*labels).observe(seconds)

    def answered(self, rows: Sequence[PredictionRow]) -> None:
        """Count the faces of one picture, at least one."""
        self._pictures.labels(rows[0].face_search).inc()
        for row in rows:
            self._predictions.labels(row.model_version, row.predicted, str(row.uncertain).lower()).inc()
            for name, histogram in self._measured.items():
                histogram.labels(row.model_version).observe(getattr(row, name))

    def use_model(self, spec: ModelSpec, precision: Precision) -> None:
        """Show that from now on this model answers, and begin its series at 0."""
        if self._model is not None:
            self._info.labels(*self._model).set(0)
        self._model = (spec.name, precision)
        self._info.labels(*self._model).set(1)
        for name in MEASURED:
            self._use_reference(spec, name)
            self._measured[name].labels(spec.name)
        for label, uncertain in product(spec.classes, ("false", "true")):
            self._predictions.labels(spec.name, label, uncertain)
        for search in get_args(FaceSearch):
            self._pictures.labels(search)

    def log(self, status: LogStatus) -> None:
        """Show how the prediction log fares."""
        for state in _LOG_STATES:
            self._log_state.labels(state).set(state == status.state)
        self._database_up.set(status.database in ("ok", "off"))
        self._log_rows.set(status.queue.rows)
        self._log_bytes.set(status.queue.bytes)
        self._log_age.set(status.queue.age)
        with self._dropped_lock:
            # A scrape and the event loop may both be here, the later one with the earlier state.
            self._log_dropped.inc(max(0, status.dropped_rows - self._dropped))
            self._dropped = max(self._dropped, status.dropped_rows)
        self._log_refused.set(status.queue.refused)

    def text(self) -> bytes:
        """Everything, of all workers, in Prometheus's text format."""
        if self._folder is None:
            return generate_latest(self.registry)
        forget_dead_workers(self._folder)
        merged = CollectorRegistry()
        MultiProcessCollector(merged, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(merged)

    def _use_reference(self, spec: ModelSpec, name: str) -> None:
        """Measure with the edges of this model's reference, and show the reference beside it."""
        reference = spec.reference_histograms.get(name)
        edges = reference.edges if reference is not None else _PLAIN_EDGES
        if self._edges.get(name) != edges:
            old = self._measured.pop(name, None)
            if old is not None:
                self.registry.unregister(old)
            self._edges[name] = edges
            self._measured[name] = self._histogram(name, f"The {name} of answered faces.", edges, ("model",))
        if reference is None or not sum(reference.counts):
            return
        total = sum(reference.counts)
        # None of the reference's pictures lie below the first edge.
        for edge, count in zip(edges, accumulate(reference.counts, initial=0), strict=True):
            # Written as in the histogram itself, so that both can be joined.
            self._reference.labels(spec.name, name, floatToGoString(edge)).set(count / total)  # type: ignore[no-untyped-call]
        middles = ((low + high) / 2 for low, high in pairwise(edges))
        mean = sum(middle * count for middle, count in zip(middles, reference.counts, strict=True)) / total
        self._reference_mean.labels(spec.name, name).set(mean)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"mlopsproject_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = (), mode: str = "livemax") -> Gauge:
        return Gauge(f"mlopsproject_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, text: str, edges: Sequence[float], labels: Sequence[str]) -> Histogram:
        return Histogram(f"mlopsproject_{name}", text, labels, registry=self.registry, buckets=edges)
