"""The API as it really runs: processes of their own, on a free port, stopped by signals."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.store import Store
from mlopsproject.prediction_log.settings import LogSettings

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """The environment without any setting of the developer's."""
    names = {name.upper() for name in (*ApiSettings.model_fields, *LogSettings.model_fields)}
    return {name: value for name, value in os.environ.items() if name not in names and "MULTIPROC" not in name}


class Server:
    """A server in a process of its own.

    Args:
        command: what to run, `PORT` stands for the port.
        folder: where it runs, keeps its data and writes its log.
        settings: as environment variables.
    """

    def __init__(self, command: list[str], folder: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.log_file = folder / f"server-{self.port}.log"
        given = {"PORT": str(self.port), "DATA_DIR": str(folder / "data"), "LOG_FORMAT": "json", **settings}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(part.replace("PORT", str(self.port)) for part in command)],
                cwd=folder,
                env=clean_environment() | given,
                stdout=log,
                stderr=log,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def wait(self, seconds: float = 60) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, self.log
            try:
                self.client.get("/health")
            except httpx.TransportError:
                assert time.monotonic() < deadline, self.log
                time.sleep(0.02)
            else:
                return

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Stop it and give its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def log(self) -> str:
        """What it wrote."""
        return self.log_file.read_text(encoding="utf-8")

    def predict(self, content: bytes, **fields: str) -> httpx.Response:
        """Ask for one picture."""
        return self.client.post("/predict/", files={"data": content}, data=fields)

    def again(self) -> httpx.Client:
        """Another client, with connections of its own."""
        return httpx.Client(base_url=self.client.base_url, timeout=60)

    def counts(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Samples of one metric, by labels."""
        text = self.client.get("/metrics").text
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"mlopsproject_{name}"
        }

    def logged_ids(self) -> list[str]:
        """Prediction ids in the database, once it has been stopped."""
        with sqlite3.connect(self.log_file.parent / "data" / "predictions.db") as database:
            return [row[0] for row in database.execute("select prediction_id from predictions")]

    @property
    def memory_mb(self) -> float:
        """What is resident of the process that was started."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def cpu_seconds(self) -> float:
        """What that process has computed so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def workers(self) -> list[int]:
        """Process ids of the workers: what the parent started, but for multiprocessing's resource tracker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="utf-8")
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.split()}
        return [pid for pid, line in lines.items() if b"resource_tracker" not in line]


StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path, model_store: Store) -> Iterator[StartServer]:
    """Start a server: ``start_server(workers=2, command=[...])``; without a command `python -m mlopsproject.api`."""
    servers: list[Server] = []

    def start(command: list[str] | None = None, *, wait: bool = True, **settings: object) -> Server:
        chosen = {"model_store": model_store.uri, "model_reload_seconds": 0.2, **settings}
        server = Server(
            command or ["mlopsproject.api"], tmp_path, {name.upper(): str(value) for name, value in chosen.items()}
        )
        servers.append(server)
        if wait:
            server.wait()
        return server

    yield start
    for server in servers:
        server.stop(signal.SIGKILL if server.process.poll() is None and server.process.returncode else signal.SIGTERM)


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The environment without any setting of the developer's."""
    return clean_environment()


@pytest.fixture(scope="session")
def model_store(make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with two tiny bundles. Every test that moves `production` points it back at the first."""
    folder = tmp_path_factory.mktemp("store")
    names = [make_bundle(folder, seed=seed).name for seed in (1, 2)]
    store = Store(folder)
    for alias, name in zip(("production", "next"), names, strict=True):
        store.set_alias(alias, name)
    return store


@pytest.fixture(scope="session")
def face(encode: Callable[..., bytes], smooth_picture: Callable[..., object]) -> bytes:
    """A small picture as JPEG, 64 x 64."""
    return encode(smooth_picture(), "JPEG", quality=90)
