"""Real containers: images built by `invoke docker-build`, started as a careful operator would start them.

CONTAINER_BUILD and CONTAINER_RUN name another builder and another engine than docker; see docs/containers.md.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
ENGINE = shlex.split(os.environ.get("CONTAINER_RUN", "docker"))
TAG = "test"
#: Nothing of the container's own file system can be written, and no right of the kernel is left.
HARDENED = ("--read-only", "--cap-drop", "all", "--tmpfs", "/tmp", "--security-opt", "no-new-privileges")


def engine(*words: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command of the container engine."""
    done = subprocess.run([*ENGINE, *words], capture_output=True, text=True, check=False, timeout=timeout)
    if check:
        assert done.returncode == 0, f"{words}: {done.stderr}"
    return done


def build(name: str, folder: Path = ROOT, tag: str = TAG) -> str:
    """Build an image from a folder with the project's own command.

    Returns:
        Its name.
    """
    command = [sys.executable, "-m", "invoke", "docker-build", "--images", name, "--tag", tag]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return f"mlopsproject-{name}:{tag}"


def layers_mb(image: str) -> float:
    """Size of the layers that the Dockerfile puts above its base image, in MB."""
    said = engine("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image).stdout
    total = 0.0
    for line in said.splitlines():
        size, _, made_by = line.partition("\t")
        number, unit = re.fullmatch(r"([\d.]+) ?([kMG]?B)", size.strip()).groups()  # type: ignore[union-attr]
        total += float(number) * {"B": 1e-6, "kB": 1e-3, "MB": 1, "GB": 1e3}[unit]
        if "groupadd" in made_by:
            return total
    raise AssertionError(f"{image} has no layer of the project:\n{said}")


@dataclass
class Container:
    """A container that runs.

    Attributes:
        id: as the engine knows it.
        port: on this machine that leads to the container's, 0 for none.
    """

    id: str
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logs(self) -> str:
        done = engine("logs", self.id, check=False)
        return done.stdout + done.stderr

    def wait_for(self, path: str, seconds: float = 60) -> float:
        """Ask until the answer is 200.

        Returns:
            Seconds that this took.
        """
        start = time.monotonic()
        while True:
            try:
                with urllib.request.urlopen(self.url + path, timeout=2) as answer:
                    if answer.status == 200:
                        return time.monotonic() - start
            except OSError:
                pass
            assert time.monotonic() - start < seconds, self.logs()
            time.sleep(0.02)

    def wait_for_log(self, text: str, seconds: float = 120) -> None:
        start = time.monotonic()
        while text not in self.logs():
            assert time.monotonic() - start < seconds, self.logs()
            time.sleep(0.1)

    def stop(self) -> int:
        """Send SIGTERM.

        Returns:
            The exit code; 137 if it had to be killed.
        """
        engine("stop", "--time", "30", self.id)
        return int(engine("inspect", "--format", "{{.State.ExitCode}}", self.id).stdout)


def start(image: str, *command: str, port: int = 0, inside: int = 0, options: Sequence[str] = ()) -> Container:
    """Start a container in the background, hardened.

    Args:
        image: which.
        command: arguments.
        port: on this machine, for `inside`.
        inside: port of the container.
        options: of the engine's `run`.
    """
    published = ["--publish", f"127.0.0.1:{port}:{inside}"] if port else []
    said = engine("run", "--detach", *HARDENED, *published, *options, image, *command)
    return Container(said.stdout.split()[-1], port)


def run(image: str, *command: str, options: Sequence[str] = (), timeout: float = 600) -> tuple[int, str]:
    """Run a container to its end, hardened.

    Returns:
        Exit code, and what it wrote.
    """
    done = engine("run", "--rm", *HARDENED, *options, image, *command, check=False, timeout=timeout)
    return done.returncode, done.stdout + done.stderr


def stand_in(name: str) -> None:
    """Build what takes the place of an image of a registry."""
    folder = Path(__file__).parent / "stand_ins"
    dockerfile, image = str(folder / f"{name}.dockerfile"), f"mlopsproject-stand-in-{name}:{TAG}"
    builder = os.environ.get("CONTAINER_BUILD")
    command = (
        [*shlex.split(builder), dockerfile, str(folder), image]
        if builder
        else [*ENGINE, "build", "--file", dockerfile, "--tag", image, str(folder)]
    )
    subprocess.run(command, check=True, capture_output=True, timeout=900)
