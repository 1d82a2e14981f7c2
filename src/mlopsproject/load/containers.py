"""Containers for tests and measurements: images built by `invoke docker-build`, started as a careful operator would.

The environment variable CONTAINER_RUN names another engine than docker, CONTAINER_BUILD another builder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlopsproject.core.errors import UserError

#: Nothing of the container's own file system can be written, and no right of the kernel is left.
HARDENED: Final = ("--read-only", "--cap-drop", "all", "--tmpfs", "/tmp", "--security-opt", "no-new-privileges")  # noqa: S108
_UNITS: Final = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}


class ContainerError(UserError):
    """The container engine or builder failed."""


def engine(*words: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command of the container engine.

    Args:
        words: of the command, such as `inspect` and an image.
        check: whether it must succeed.
        timeout: seconds.

    Raises:
        ContainerError: if there is no engine, or the command fails though it must not.
    """
    command = [*shlex.split(os.environ.get("CONTAINER_RUN", "docker")), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)  # noqa: S603
    except FileNotFoundError as error:
        raise ContainerError(f"No container engine: {command[0]} is not installed.", "Set CONTAINER_RUN.") from error
    if check and done.returncode:
        raise ContainerError(f"{shlex.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done


def build(name: str, folder: Path, tag: str) -> str:
    """Build an image from a copy of the repository.

    Args:
        name: of the image, without `mlopsproject-`.
        folder: the copy.
        tag: of the image.

    Returns:
        The image's full name.

    Raises:
        ContainerError: if that fails.
    """
    command = [sys.executable, "-m", "invoke", "docker-build", "--images", name, "--tag", tag]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ContainerError(f"The image {name} was not built: {(done.stdout + done.stderr).strip()[-2000:]}")
    return f"mlopsproject-{name}:{tag}"


def layers_mb(image: str) -> float:
    """Size of the layers that a Dockerfile of the project puts above its base image, in MB.

    Raises:
        ContainerError: if the image has no such layers.
    """
    said = engine("history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image).stdout
    total = 0.0
    for line in said.splitlines():
        size, _, made_by = line.partition("\t")
        if found := re.fullmatch(r"([\d.]+) ?([kMG]?B)", size.strip()):
            total += float(found[1]) * _UNITS[found[2]]
        # The first step of the last stage.
        if "groupadd" in made_by:
            return total
    raise ContainerError(f"{image} has no layer of the project.")


@dataclass(frozen=True)
class Container:
    """A container that was started.

    Attributes:
        id: as the engine knows it.
        port: on this machine that leads to the container's, 0 for none.
    """

    id: str
    port: int = 0

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def logs(self) -> str:
        """What it wrote."""
        done = engine("logs", self.id, check=False)
        return done.stdout + done.stderr

    def wait_for(self, path: str, seconds: float = 60) -> None:
        """Ask until the answer is 200.

        Raises:
            ContainerError: if it never is.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.url + path, timeout=2) as answer:  # noqa: S310  # our own address
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.02)
        raise ContainerError(f"The container did not answer {path} within {seconds:g} s: {self.logs()[-2000:]}")

    def stop(self) -> int:
        """Send SIGTERM.

        Returns:
            The exit code; 137 if it had to be killed after 30 seconds.
        """
        engine("stop", "--time", "30", self.id)
        return int(engine("inspect", "--format", "{{.State.ExitCode}}", self.id).stdout)

    def remove(self) -> None:
        """Remove it, and volumes without a name."""
        engine("rm", "--force", "--volumes", self.id)


def start(image: str, *command: str, port: int = 0, inside: int = 0, options: Sequence[str] = ()) -> Container:
    """Start a container in the background, hardened.

    Args:
        image: which.
        command: arguments.
        port: on this machine, for `inside`; 0 for none.
        inside: port of the container.
        options: of the engine's `run`.

    Raises:
        ContainerError: if it does not start.
    """
    published = ["--publish", f"127.0.0.1:{port}:{inside}"] if port else []
    said = engine("run", "--detach", *HARDENED, *published, *options, image, *command)
    return Container(said.stdout.split()[-1], port)
