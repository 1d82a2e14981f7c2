"""How large the services' images are, how soon the API is ready, and how long a change of code takes to build."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.machine import cpu_name
from mlopsproject.load.bars import at_most
from mlopsproject.load.containers import build, layers_mb, start
from mlopsproject.load.processes import free_port

#: MB above the base image.
LARGEST_MB: Final = {"api": 480.0, "frontend": 450.0}
READY_SECONDS: Final = 3.0
REBUILD_SECONDS: Final = 10.0
_TAG: Final = "benchmark"


def benchmark_containers(rounds: int) -> dict[str, Any]:
    """Build the images of the services from the working directory's repository, and measure.

    Args:
        rounds: starts, and rebuilds; the fastest counts.

    Returns:
        Figures with their bars.

    Raises:
        ConfigError: for an impossible value, or outside the repository.
        ContainerError: if there is no container engine, or an image cannot be built or started.
    """
    check_whole("containers.rounds", rounds, lowest=1)
    if not Path("dockerfiles").is_dir():
        raise ConfigError("There is no dockerfiles/ here.", "Run from the project's folder.")
    bars = {}
    for name, largest in LARGEST_MB.items():
        bars[f"{name}, layers above the base image, MB"] = at_most(layers_mb(build(name, Path(), _TAG)), largest)
    ready = min(_start() for _ in range(rounds))
    bars["api, from run to ready, s"] = at_most(ready, READY_SECONDS)
    with tempfile.TemporaryDirectory(prefix="benchmark-containers-") as folder:
        bars["api, build after a change of code, s"] = at_most(_rebuild(Path(folder), rounds), REBUILD_SECONDS)
    return {"machine": cpu_name(), "rounds": rounds, "bars": bars}


def _start() -> float:
    """Seconds until a new container of the API is ready."""
    began = time.perf_counter()
    container = start(f"mlopsproject-api:{_TAG}", port=free_port(), inside=8000)
    try:
        container.wait_for("/ready")
        return time.perf_counter() - began
    finally:
        container.remove()


def _rebuild(folder: Path, rounds: int) -> float:
    """Seconds of the fastest build of the API, each after a change of its code, in a copy of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if Path(name).is_file() and not name.startswith("data_remote/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)
    build("api", folder, f"{_TAG}-changed")
    changed = folder / "src/mlopsproject/api/__init__.py"
    taken = []
    for _ in range(rounds):
        changed.write_text(changed.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        began = time.perf_counter()
        build("api", folder, f"{_TAG}-changed")
        taken.append(time.perf_counter() - began)
    return min(taken)
