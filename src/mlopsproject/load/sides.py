"""The sides of the serving benchmark: how each server is started, and what one turn of it measures."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import UserError
from mlopsproject.load import HOST
from mlopsproject.load.client import Measured, load_requests
from mlopsproject.load.driving import drive
from mlopsproject.load.pictures import CONTENT_TYPE
from mlopsproject.load.processes import Server, api_server, free_port
from mlopsproject.load.usage import cpu_seconds, loaded_libraries, memory_mb, workers

#: Our API, and the settings that differ from its defaults.
API_SIDES: Final[Mapping[str, Mapping[str, object]]] = {
    "api": {},
    "log_off": {"LOG_DURABILITY": "off"},
    "two_workers": {"WORKERS": 2},
}
#: The API, the baselines (see `baselines.py`), and the API once more.
SIDES: Final = ("api", "minimal", "reload", "litserve", "log_off", "two_workers")
#: What may use the client's core as well.
_UNPINNED: Final = ("two_workers",)
_HEAVY: Final = {"torch", "pandas", "pyarrow"}
_START_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of a side measured.

    Attributes:
        measured: by the client, at as many requests as the side answers.
        half_load: by the client, at half as many; of `api` only.
        memory_mb: resident, of the worker that has most.
        heavy: libraries in a worker that have no business there.
        pending: rows of the prediction log that its database did not have yet when the load ended.
    """

    measured: Measured
    half_load: Measured | None
    memory_mb: float
    heavy: frozenset[str]
    pending: int | None


@dataclass(frozen=True, slots=True)
class ColdStart:
    """How long a start took.

    Attributes:
        seconds: that passed.
        cpu_seconds: that the server computed meanwhile; of other work on the machine these say nothing.
    """

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """What all turns have in common.

    Attributes:
        bundle: that is served.
        precision: of its network.
        folder: for what the servers write.
        requests: file of the requests, see `client.save_requests`.
        server_core: for the servers.
        client_core: for the client.
        seconds: measured per turn.
        warmup: seconds before, not measured.
        connections: of the client.
    """

    bundle: Bundle
    precision: str
    folder: Path
    requests: Path
    server_core: int
    client_core: int
    seconds: float
    warmup: float
    connections: int

    def turn(self, side: str) -> Turn:
        """Start a side afresh, put it under load, and stop it.

        Args:
            side: one of `SIDES`, or `trivial`.

        Raises:
            UserError: if it does not start, or an answer is wrong.
        """
        with self._server(side, None if side in _UNPINNED else {self.server_core}) as server:
            server.wait_until_ready("/docs" if side not in API_SIDES else "/health", _START_SECONDS)
            try:
                measured = self._drive(server, None)
                pending = _pending(server) if side in ("api", "two_workers") else None
                half_load = self._drive(server, measured.per_second / 2) if side == "api" else None
            except UserError as error:
                raise UserError(f"{side}: {error}", server.last_words()) from error
            answering = workers(server.pid)
            return Turn(
                measured,
                half_load,
                memory_mb=max(memory_mb(process) for process in answering),
                heavy=frozenset[str]().union(*(loaded_libraries(process) for process in answering)) & _HEAVY,
                pending=pending,
            )

    def cold_start(self) -> ColdStart:
        """From the start of the API's process to its first answer to a picture; it has all cores and an empty folder.

        Raises:
            UserError: if there is no answer.
        """
        body = load_requests(self.requests)[0].partition(b"\r\n\r\n")[2]
        began = time.perf_counter()
        with self._server("api", None) as server:
            while server.exit_code is None and time.perf_counter() - began < _START_SECONDS:
                with (
                    suppress(OSError, http.client.HTTPException),
                    closing(http.client.HTTPConnection(HOST, server.port, timeout=_START_SECONDS)) as connection,
                ):
                    connection.request("POST", "/predict/", body, {"Content-Type": CONTENT_TYPE})
                    if connection.getresponse().status == http.client.OK:
                        return ColdStart(time.perf_counter() - began, cpu_seconds(server.pid))
                time.sleep(0.002)
            raise UserError("The API does not answer.", server.last_words())

    def _drive(self, server: Server, rate: float | None) -> Measured:
        return drive(
            self.requests,
            server.port,
            server.pid,
            seconds=self.seconds,
            warmup=self.warmup,
            connections=self.connections,
            core=self.client_core,
            rate=rate,
        )

    @contextmanager
    def _server(self, side: str, cores: set[int] | None) -> Iterator[Server]:
        """A side in a folder of its own, started."""
        bundle = self.bundle.path.resolve()
        with tempfile.TemporaryDirectory(prefix=f"{side}-", dir=self.folder) as name:
            folder = Path(name)
            log = folder / "server.log"
            # Compiled modules, as every installation has them after its first start; some shells turn that off.
            common = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": self.folder / "compiled"}
            if side in API_SIDES:
                settings = {"MODEL_URI": bundle, "MODEL_PRECISION": self.precision, **API_SIDES[side]}
                server = api_server(folder, log, common | settings, cores)
            else:
                port = free_port()
                command = [
                    sys.executable,
                    "-m",
                    "mlopsproject.load.baselines",
                    side,
                    str(port),
                    str(bundle),
                    self.precision,
                ]
                server = Server(command, port, folder, log, common, cores)
            with server:
                yield server


def _pending(server: Server) -> int:
    with closing(http.client.HTTPConnection(HOST, server.port, timeout=30)) as connection:
        connection.request("GET", "/stats")
        return int(json.loads(connection.getresponse().read())["pending"])
