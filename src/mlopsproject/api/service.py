"""Everything that a worker process holds: model, prediction log, face finder, metrics, threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter

from mlopsproject.api.live_drift import LiveDrift
from mlopsproject.api.live_model import LiveModel
from mlopsproject.api.metrics import Metrics
from mlopsproject.api.problems import busy
from mlopsproject.api.settings import MB, ApiSettings
from mlopsproject.api.threads import Threads, in_thread
from mlopsproject.core.drift_reports import DriftReports
from mlopsproject.core.face_inputs import FaceInputs, FaceOptions, read_faces
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.helpers import NARROW, Helpers
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.spec import InputSpec
from mlopsproject.prediction_log.log import PredictionLog, prepare
from mlopsproject.prediction_log.settings import LogSettings

logger = logging.getLogger(__name__)

#: Threads for explanations and for many faces; processes, not threads, make a server faster.
_THREADS: Final = 2
#: Helper processes for pictures that are not cheap.
_HELPERS: Final = 1
#: Pictures that are fetched from elsewhere at a time.
_MAX_FETCHING: Final = 16
#: Seconds between two looks at the log and the queue for the metrics that other workers show.
_LOOK_SECONDS: Final = 2.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(slots=True)
class RequestInfo:
    """What is known of a request while it is worked on.

    Attributes:
        request_id: given by the caller, or new.
        started: when it arrived, by `time.perf_counter`.
        model_version: name of the bundle that answered, for the log line.
    """

    request_id: str
    started: float
    model_version: str | None = None


class Service:
    """What the routes use. One per process; `start` and `stop` run in the event loop that serves."""

    def __init__(self, settings: ApiSettings, log_settings: LogSettings) -> None:
        self.settings = settings
        self.log_settings = log_settings
        self.metrics = Metrics()
        self.model = LiveModel(settings.model_uri, settings.model_store, settings.model_precision, self.metrics)
        self.drift_reports = DriftReports(settings.model_store)
        self.drift = LiveDrift(self.drift_reports, self.model, self.metrics.drift)
        #: Requests that have arrived and are worked on or wait.
        self.in_progress = 0
        #: Bytes of requests' bodies that are held.
        self.held_bytes = 0
        self.max_body_bytes = int(settings.max_body_mb * MB)
        self.max_held_bytes = max(int(settings.max_waiting_mb * MB), self.max_body_bytes)
        self._log: PredictionLog | None = None
        self._helpers = Helpers(_HELPERS, NARROW)
        self._threads = CapacityLimiter(_THREADS)
        seconds = settings.request_timeout_seconds
        #: What is asked of the log; of drift reports apart, for a bucket out of reach must not hold up feedback.
        self.log_threads = Threads("prediction log", seconds)
        self.store_threads = Threads("store of drift reports", seconds)
        #: Of pictures of other servers: strangers' slow ones must not take all places or memory.
        self.fetching = asyncio.Semaphore(_MAX_FETCHING)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the model, open the log and begin to look after both.

        Raises:
            UserError: if the model, the face model or the log cannot be used.
        """
        self.model.load()
        if self.settings.face_model is not None:
            # Say here what every picture would trip over.
            FaceFinder(self.settings.face_model)
        prepare(self.log_settings)
        self._log = PredictionLog(self.log_settings)
        self._log.start()
        self._tasks = [asyncio.create_task(_repeat(self._watch, _LOOK_SECONDS))]
        if seconds := self.settings.model_reload_seconds:
            self._tasks += [asyncio.create_task(_repeat(part.look, seconds)) for part in (self.model, self.drift)]

    async def stop(self) -> None:
        """End what `start` began: rows that wait are kept, and nobody waits for what threads are in the middle of."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._log is not None:
            await self._log.close(self.settings.shutdown_timeout_seconds)
            self._log = None
        await asyncio.to_thread(self._helpers.close)

    @property
    def is_open(self) -> bool:
        """Whether the service has started and not stopped."""
        return self._log is not None

    @property
    def log(self) -> PredictionLog:
        """The prediction log.

        Raises:
            ProblemError: before `start` and after `stop`.
        """
        if self._log is None:
            raise busy("The service is starting or stopping.", "not_ready")
        return self._log

    def loaded_model(self) -> Predictor:
        """The model that answers now; a request keeps it to its end.

        Raises:
            ProblemError: before `start`.
        """
        if self.model.current is None:
            raise busy("The model is not loaded yet.", "not_ready")
        return self.model.current

    def model_for(self, info: RequestInfo) -> Predictor:
        """The model that answers a request, see `loaded_model`; noted for its line in the log."""
        model = self.loaded_model()
        info.model_version = model.model_version
        return model

    async def read_faces(self, content: bytes, options: FaceOptions, spec: InputSpec) -> FaceInputs:
        """Decode a picture and cut its faces out, see `core.face_inputs.read_faces`, in a helper process.

        Raises:
            ImageError: if the picture cannot be used, or costs more than `helpers.NARROW`.
            ProblemError: if no helper can be started.
        """
        try:
            return await self._helpers.ask(read_faces, content, options, spec, self.settings.face_model)
        except BrokenProcessPool as error:
            logger.warning("A request is refused: no helper process can be started: %s", error)
            raise busy("No picture but small ones can be decoded for now.", "no_helper") from None

    async def in_thread(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run what blocks for long in one of the few threads for that."""
        return await in_thread(self._threads, function, *args, **kwargs)

    def show_state(self) -> None:
        """Bring the metrics that tell a state up to date."""
        self.metrics.in_progress.set(self.in_progress)
        if self._log is not None:
            self.metrics.log(self._log.status())

    async def _watch(self) -> None:
        self.show_state()


async def _repeat(look: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Call what looks after a part of the service, again and again; a failure must not end that."""
    while True:
        try:
            await look()
        except Exception:
            logger.exception("A part of the service is not looked after.")
        await asyncio.sleep(seconds)
