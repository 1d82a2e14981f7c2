"""Servers that a measurement starts, in processes of their own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from mlopsproject.api.multiprocess import VARIABLE as SHARED_METRICS
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.errors import UserError
from mlopsproject.load import HOST
from mlopsproject.prediction_log.settings import LogSettings

#: Environment variables that would change what is measured.
_OURS: Final = {name.upper() for settings in (ApiSettings, LogSettings) for name in settings.model_fields}
_LIBRARIES: Final = {SHARED_METRICS, "WEB_CONCURRENCY"}
_PREFIXES: Final = ("LOCUST_", "LITSERVE_", "UVICORN_")
_LOOK_SECONDS: Final = 0.01


class Server:
    """A server in a process group of its own, which a Ctrl-C in the terminal does not reach; a context manager.

    Args:
        command: program and arguments.
        port: on which it will listen.
        folder: to run in; a file `.env` there would be read.
        log: file for what it prints.
        settings: environment variables, beside those of this process that are not settings of ours.
        cores: that it may use; by default all.
    """

    def __init__(
        self,
        command: Sequence[str],
        port: int,
        folder: Path,
        log: Path,
        settings: Mapping[str, object] | None = None,
        cores: set[int] | None = None,
    ) -> None:
        self._command = command
        self._folder = folder
        self._environment = neutral_environment() | {name: str(value) for name, value in (settings or {}).items()}
        self._cores = cores
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port
        self.log = log

    def __enter__(self) -> Self:
        with self.log.open("wb") as output, _running_on(self._cores):
            self._process = subprocess.Popen(  # noqa: S603  # a program and arguments of our own
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Of its first process; `None` while that runs."""
        return None if self._process is None else self._process.poll()

    def wait_until_ready(self, path: str = "/health", seconds: float = 60) -> None:
        """Wait until it answers a GET with 200.

        Args:
            path: of the address.
            seconds: to wait.

        Raises:
            UserError: if it ends, or does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.exit_code is not None:
                raise UserError(f"The server did not start (exit code {self.exit_code}).", self.last_words())
            with (
                suppress(OSError, http.client.HTTPException),
                closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as connection,
            ):
                connection.request("GET", path)
                if connection.getresponse().status == http.client.OK:
                    return
            time.sleep(_LOOK_SECONDS)
        raise UserError(f"The server did not answer within {seconds:g} s.", self.last_words())

    def last_words(self) -> str:
        """The last line that it printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if self.log.exists() else []
        return f"It said: {lines[-1][:500]}" if lines else "It said nothing."

    def stop(self, seconds: float = 40) -> int:
        """Ask it to end, wait, and kill what is left of its process group.

        Args:
            seconds: to wait.

        Returns:
            Its exit code; 0 if it never ran.
        """
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


def api_server(
    folder: Path, log: Path, settings: Mapping[str, object], cores: set[int] | None = None, *, port: int | None = None
) -> Server:
    """The API of this project, with a prediction log of its own.

    Args:
        folder: to run in; holds the log's data.
        log: file for what it prints.
        settings: environment variables of the API; everything else is its default.
        cores: that it may use; by default all.
        port: to listen on; by default one that is free.
    """
    port = port or free_port()
    chosen = {"HOST": HOST, "PORT": port, "DATA_DIR": folder / "data", **settings}
    return Server([sys.executable, "-m", "mlopsproject.api"], port, folder, log, chosen, cores)


def neutral_environment() -> dict[str, str]:
    """The environment of this process without any setting of the API, the log, or the tools around them."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in _OURS | _LIBRARIES and not name.upper().startswith(_PREFIXES)
    }


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


@contextmanager
def _running_on(cores: set[int] | None) -> Iterator[None]:
    """Move this process to some cores for a while: what it starts meanwhile stays there, from its first instruction."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
