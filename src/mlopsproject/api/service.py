"""Everything that a worker process holds: model, prediction log, face finder, metrics, threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, ParamSpec, TypeVar

from PIL import Image

from mlopsproject.api.live_model import LiveModel, LoadedModel
from mlopsproject.api.metrics import Metrics
from mlopsproject.api.problems import ProblemError, busy
from mlopsproject.api.settings import ApiSettings
from mlopsproject.api.threads import DaemonPool, in_own_thread
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.schemas import Box
from mlopsproject.prediction_log.errors import LogOff, LogUnavailable
from mlopsproject.prediction_log.log import PredictionLog
from mlopsproject.prediction_log.rows import Row
from mlopsproject.prediction_log.settings import LogSettings

logger = logging.getLogger(__name__)

#: Threads for large pictures and for finding faces; processes, not threads, make a server faster.
_THREADS: Final = 2
#: Threads for questions to the log's database, and how many questions may be worked on or wait.
_QUESTION_THREADS: Final = 2
_MAX_ASKING: Final = 16
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
        #: Requests that have arrived and are worked on or wait.
        self.in_progress = 0
        #: Requests whose bodies have not arrived whole.
        self.arriving = 0
        #: Bytes of requests' bodies that are held.
        self.held_bytes = 0
        self.max_held_bytes = settings.max_waiting_bytes
        self._log: PredictionLog | None = None
        self._finder: FaceFinder | None = None
        self._finder_lock = threading.Lock()
        self._pool: DaemonPool | None = None
        self._questions: DaemonPool | None = None
        self._asking = 0
        self._fetching = 0
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
        self._pool = DaemonPool(_THREADS, "picture")
        self._questions = DaemonPool(_QUESTION_THREADS, "question")
        self._tasks = [asyncio.create_task(self._watch())]
        if self.settings.model_reload_seconds:
            self._tasks.append(asyncio.create_task(self.model.follow(self.settings.model_reload_seconds)))

    async def stop(self) -> None:
        """End what `start` began: rows that wait are kept, and nobody waits for what threads are in the middle of."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._log is not None:
            await in_own_thread("log", self._log.close, self.settings.shutdown_timeout_seconds)
            self._log = None
        pools = [pool for pool in (self._pool, self._questions) if pool is not None]
        self._pool = self._questions = None
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)

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
        return await _run(self._pool, function, *args, **kwargs)

    async def ask(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Ask the log something that takes a while, in threads that do nothing else.

        Raises:
            ProblemError: if it cannot be asked, too many ask already, or it takes too long.
        """
        if self._asking >= _MAX_ASKING:
            raise busy(f"{self._asking} questions to the prediction log are worked on already.")
        self._asking += 1
        seconds = self.settings.request_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await _run(self._questions, function, *args, **kwargs)
        except TimeoutError:
            raise busy(f"The prediction log took longer than {seconds:g} s.", "timeout") from None
        except LogUnavailable as error:
            raise log_problem(error) from None
        finally:
            self._asking -= 1

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Count a picture that is fetched from elsewhere: strangers' slow servers must not take all slots or memory.

        Raises:
            ProblemError: if too many are.
        """
        if self._fetching >= _MAX_FETCHING:
            raise busy(f"{self._fetching} pictures of other servers are worked on already.")
        self._fetching += 1
        try:
            yield
        finally:
            self._fetching -= 1

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


async def _run(pool: DaemonPool | None, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    if pool is None:
        raise busy("The service is starting or stopping.", "not_ready")
    run = contextvars.copy_context().run  # for the request's id in log lines
    return await asyncio.get_running_loop().run_in_executor(pool, partial(run, function, *args, **kwargs))


def log_problem(error: LogUnavailable) -> ProblemError:
    """The answer when the prediction log cannot keep or give rows; what is wrong inside is not for every caller."""
    if isinstance(error, LogOff):
        return ProblemError(404, "log_off", "This service keeps no prediction log.", inside=error.message)
    logger.warning("A request is refused: %s", error)
    return busy("The prediction log cannot be used for now.", "log_unavailable", error.message)
