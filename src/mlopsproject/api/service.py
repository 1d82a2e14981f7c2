"""Everything that a worker process holds: model, prediction log, face finder, metrics, threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, ParamSpec, TypeVar

from PIL import Image

from mlopsproject.api.live_model import LiveModel, LoadedModel
from mlopsproject.api.metrics import Metrics
from mlopsproject.api.problems import ProblemError, busy
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.schemas import Box
from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.log import PredictionLog
from mlopsproject.prediction_log.rows import Row
from mlopsproject.prediction_log.settings import LogSettings

logger = logging.getLogger(__name__)

#: Threads for large pictures and for finding faces; processes, not threads, make a server faster.
_THREADS: Final = 2
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
    """What the routes use. One per process; `start` and `stop` run in the event loop that serves.

    Args:
        settings: of the API.
        log_settings: of the prediction log.
    """

    def __init__(self, settings: ApiSettings, log_settings: LogSettings) -> None:
        self.settings = settings
        self.log_settings = log_settings
        self.metrics = Metrics()
        self.model = LiveModel(settings.model_uri, settings.model_store, settings.model_precision, self.metrics)
        #: Requests that are worked on or wait.
        self.in_progress = 0
        self._log: PredictionLog | None = None
        self._finder: FaceFinder | None = None
        self._finder_lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the model, open the log and begin to look after both.

        Raises:
            UserError: if the model, the face model or the log cannot be used.
        """
        self.model.load()
        if self.settings.face_model is not None:
            self._open_finder()
        self._log = PredictionLog.open(self.log_settings)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="picture")
        self._tasks = [asyncio.create_task(self._watch())]
        if self.settings.model_reload_seconds:
            self._tasks.append(asyncio.create_task(self.model.follow(self.settings.model_reload_seconds)))

    async def stop(self) -> None:
        """End what `start` began; rows that wait are kept first."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        if self._log is not None:
            await asyncio.to_thread(self._log.close, self.settings.shutdown_timeout_seconds)
            self._log = None

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

    def loaded_model(self) -> LoadedModel:
        """The model that answers now; a request keeps it to its end.

        Raises:
            ProblemError: before `start`.
        """
        if self.model.current is None:
            raise busy("The model is not loaded yet.", "not_ready")
        return self.model.current

    def find_faces(self, image: Image.Image) -> list[Box]:
        """Search for faces; blocks. OpenCV is loaded when the first picture needs it."""
        return self._open_finder().find(image)

    async def keep(self, rows: Sequence[Row]) -> None:
        """Have rows logged, durably.

        Raises:
            ProblemError: if they cannot be kept.
        """
        try:
            await self.log.write(rows)
        except LogUnavailable as error:
            raise log_problem(error) from None

    async def in_thread(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run what blocks for long in one of the few threads for that.

        Raises:
            ProblemError: before `start` and after `stop`.
        """
        if self._pool is None:
            raise busy("The service is starting or stopping.", "not_ready")
        run = contextvars.copy_context().run  # for the request's id in log lines
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(run, function, *args, **kwargs))

    def show_state(self) -> None:
        """Bring the metrics that tell a state up to date."""
        self.metrics.in_progress.set(self.in_progress)
        if self._log is not None:
            self.metrics.log(self._log.status())

    async def _watch(self) -> None:
        while True:
            try:
                self.show_state()
            except Exception:
                # Metrics must not end the task that keeps them fresh.
                logger.exception("The state cannot be shown.")
            await asyncio.sleep(_LOOK_SECONDS)

    def _open_finder(self) -> FaceFinder:
        with self._finder_lock:
            if self._finder is None:
                self._finder = FaceFinder(self.settings.face_model)
            return self._finder


def log_problem(error: LogUnavailable) -> ProblemError:
    """The answer when the prediction log cannot keep or give rows."""
    return busy(error.message, "log_unavailable")
