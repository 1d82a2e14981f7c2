"""What the container tests share: running to the end, waiting, stand-ins."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from mlopsproject.load.containers import HARDENED, engine

ROOT = Path(__file__).parents[3]
TAG = "test"


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


def stand_in(name: str) -> None:
    """Build what takes the place of an image of a registry."""
    folder = Path(__file__).parent / "stand_ins"
    dockerfile, image = str(folder / f"{name}.dockerfile"), f"mlopsproject-stand-in-{name}:{TAG}"
    if builder := os.environ.get("CONTAINER_BUILD"):
        subprocess.run([*shlex.split(builder), dockerfile, str(folder), image], check=True, capture_output=True)
    else:
        engine("build", "--file", dockerfile, "--tag", image, str(folder), timeout=900)
