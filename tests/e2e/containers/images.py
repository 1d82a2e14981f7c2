"""What the container tests share: running to the end, compose files, waiting, stand-ins."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from mlopsproject.load.containers import HARDENED, engine
from mlopsproject.load.processes import free_port

ROOT = Path(__file__).parents[3]
TAG = "test"
#: Another program than `docker compose`.
COMPOSE = shlex.split(os.environ.get("COMPOSE", "docker compose"))
#: Images of registries are built from Debian's packages.
STAND_INS = os.environ.get("CONTAINER_STAND_INS") == "1"


def run(image: str, *command: str, options: Sequence[str] = (), timeout: float = 600) -> tuple[int, str]:
    """Run a container to its end, hardened.

    Returns:
        Exit code, and what it wrote.
    """
    done = engine("run", "--rm", *HARDENED, *options, image, *command, check=False, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


def until(condition: Callable[[], object], seconds: float = 60, what: Callable[[], object] = lambda: "") -> None:
    """Wait for something; what is asked may not answer meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


class Compose:
    """The services of a compose file, on free ports.

    Args:
        project: name of the project, and with it of containers and volumes.
        files: of the compose file, and of one that names stand-ins for the images of registries.
        ports: variables such as `API_PORT` that get a free port, without `_PORT`.
        variables: for the file.
    """

    def __init__(self, project: str, files: tuple[str, str], ports: Sequence[str], **variables: str) -> None:
        self.ports = {name: free_port() for name in ports}
        own = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        self.environment = {**os.environ, **own, **variables, "TAG": TAG}
        self.project = project
        named = [word for name in (files if STAND_INS else files[:1]) for word in ("--file", name)]
        self.command = [*COMPOSE, "--project-name", project, *named]

    def __call__(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self.command, *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def up(self, *services: str) -> None:
        # One by one: not every engine waits for the health that `depends_on` asks for.
        self("up", "--detach", "--no-build", "--no-deps", *services)

    def database_is_ready(self, user: str) -> bool:
        asked = ("exec", self.container("postgres"), "pg_isready", "-U", user, "-h", "127.0.0.1")
        return engine(*asked, check=False).returncode == 0

    def finish(self, service: str) -> None:
        """Run a service that ends, and see it end well."""
        self.up(service)
        container = self.container(service)
        assert engine("wait", container).stdout.split()[-1] == "0", engine("logs", container).stderr

    def container(self, service: str) -> str:
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return engine("ps", "--all", "--quiet", *filters).stdout.split()[-1]


def stand_in(name: str) -> None:
    """Build what takes the place of an image of a registry."""
    folder = Path(__file__).parent / "stand_ins"
    dockerfile, image = str(folder / f"{name}.dockerfile"), f"mlopsproject-stand-in-{name}:{TAG}"
    if builder := os.environ.get("CONTAINER_BUILD"):
        subprocess.run([*shlex.split(builder), dockerfile, str(folder), image], check=True, capture_output=True)
    else:
        engine("build", "--file", dockerfile, "--tag", image, str(folder), timeout=900)
