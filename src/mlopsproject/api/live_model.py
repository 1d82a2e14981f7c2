"""The model that answers: loaded once per process, and replaced when its alias moves."""

from __future__ import annotations

import logging
from pathlib import Path

from anyio import CapacityLimiter

from mlopsproject.api.metrics import Metrics
from mlopsproject.api.threads import in_thread
from mlopsproject.core.bundle import open_bundle
from mlopsproject.core.errors import UserError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import find_bundle, resolve_bundle
from mlopsproject.core.spec import Precision

log = logging.getLogger(__name__)


class LiveModel:
    """Holds the model that answers now; arguments as `MODEL_URI`, `MODEL_STORE` and `MODEL_PRECISION`."""

    def __init__(self, uri: str, store: str, precision: Precision | None, metrics: Metrics) -> None:
        self._uri = uri
        self._store = store
        self._precision = precision
        self._metrics = metrics
        self._thread = CapacityLimiter(1)
        #: The model that answers, warm; `None` until `load`. A request takes it once and keeps it to its end.
        self.current: Predictor | None = None
        #: Why the model that the alias names now does not answer, if so.
        self.problem: str | None = None

    def load(self) -> None:
        """Load and warm the model.

        Raises:
            BundleError: for a missing or damaged bundle, or a precision that it lacks.
            StoreError: if the store cannot be reached or knows no such model.
        """
        self._take(self._open())

    async def look(self) -> None:
        """Change over if the alias has moved. Requests in work keep the model they have; a damaged one is not taken."""
        try:
            predictor = await in_thread(self._thread, self._replacement)
        except Exception as error:
            # Whatever it is, the model that answers goes on answering, and the next look comes.
            if str(error) != self.problem:
                log.error("The model is not replaced: %s", error, exc_info=not isinstance(error, UserError))
                self._metrics.reloads.labels("failed").inc()
            self.problem = str(error)
            self._metrics.reload_failing.set(1)
            return
        self.problem = None
        self._metrics.reload_failing.set(0)
        if predictor is not None:
            old = self.current and self.current.model_version
            self._take(predictor)
            self._metrics.reloads.labels("ok").inc()
            log.info("The model %s answers now, in place of %s.", predictor.model_version, old)

    def _replacement(self) -> Predictor | None:
        """The model that the alias names, warm, unless it answers already."""
        found = find_bundle(self._uri, self._store)
        # A folder may have been replaced by another, as links are.
        name = open_bundle(found, verify=False).name if isinstance(found, Path) else found[1]
        return None if self.current is not None and name == self.current.model_version else self._open()

    def _open(self) -> Predictor:
        return Predictor(resolve_bundle(self._uri, self._store), self._precision)

    def _take(self, predictor: Predictor) -> None:
        self._metrics.use_model(predictor.spec, predictor.precision)
        self.current = predictor
