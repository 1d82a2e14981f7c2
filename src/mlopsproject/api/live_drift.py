"""The newest drift report about the model that answers, for the metrics."""

from __future__ import annotations

import logging

from anyio import CapacityLimiter

from mlopsproject.api.drift_metrics import DriftMetrics
from mlopsproject.api.live_model import LiveModel
from mlopsproject.api.threads import in_thread
from mlopsproject.core.drift_reports import DriftReports
from mlopsproject.core.errors import UserError

log = logging.getLogger(__name__)


class LiveDrift:
    """Shows what the newest drift report about the model that answers says."""

    def __init__(self, reports: DriftReports, model: LiveModel, metrics: DriftMetrics) -> None:
        self._reports = reports
        self._model = model
        self._metrics = metrics
        self._problem: str | None = None
        self._thread = CapacityLimiter(1)

    async def look(self) -> None:
        """Show the newest report. While none can be read, the last one about this model stays, and grows old."""
        if self._model.current is None:
            return
        name = self._model.current.model_version
        try:
            report = await in_thread(self._thread, self._reports.latest, name)
        except Exception as error:
            # Whatever it is, the next look comes; a store that stays away is not reported at every one.
            if str(error) != self._problem:
                log.error("The drift report is not read: %s", error, exc_info=not isinstance(error, UserError))
            self._problem = str(error)
            self._metrics.keep(name)
            return
        self._problem = None
        self._metrics.show(name, report)
