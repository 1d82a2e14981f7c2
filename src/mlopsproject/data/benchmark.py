"""How fast and how frugal the import is: workers against each other, memory against size, opening time."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mlopsproject.core.checks import check_whole
from mlopsproject.core.classes import FIVE

_JOB: Final = "from mlopsproject.data.benchmark import {0}; {0}(*__import__('sys').argv[1:])"
_SAMPLE_SECONDS: Final = 0.05


def benchmark_import(
    images: int = 20_000, large: int = 200_000, *, repeats: int = 2, folder: Path | None = None, side: int = 48
) -> dict[str, float]:
    """Import drawn pictures with one and two workers, then many of them, each in a process of its own.

    Args:
        images: pictures for the comparison of one worker with two.
        large: pictures for the figures on memory and opening time; 0 leaves them out.
        repeats: imports per number of workers, in turns; the fastest counts.
        folder: where to work; ``None`` for a temporary folder.
        side: of the pictures in pixels.

    Returns:
        `images`, `one_worker` and `two_workers` (images/s, from scanning to the finished data set), `ratio`,
        `peak_mb_small` and `peak_mb_large` (main process and workers together, MB), `peak_mb_growth`,
        `main_mb_small`, `main_mb_large`, `large`, `large_images_per_second` and `open_seconds` (`load_dataset` of the
        large set, imports of Python modules excluded).

    Raises:
        ConfigError: for a number that cannot be measured.
    """
    for key, value, lowest in (("images", images, 1), ("large", large, 0), ("repeats", repeats, 1)):
        check_whole(f"import.{key}", value, lowest=lowest)
    with tempfile.TemporaryDirectory(dir=folder, prefix="benchmark-import-") as scratch:
        root = Path(scratch)
        draw_faces(root / "small", images, side)
        # In turns, so that a slow minute of the machine hits both.
        turns = [(_import(root, "small", 1), _import(root, "small", 2)) for _ in range(repeats)]
        runs = dict(zip((1, 2), zip(*turns, strict=True), strict=True))
        one, two = (max(run["images_per_second"] for run in runs[workers]) for workers in (1, 2))
        result = {
            "images": images,
            "one_worker": one,
            "two_workers": two,
            "ratio": two / one,
            "peak_mb_small": max(run["peak_mb"] for run in runs[2]),
            "main_mb_small": max(run["main_mb"] for run in runs[2]),
        }
        if large:
            draw_faces(root / "large", large, side)
            run = _import(root, "large", 2)
            result |= {
                "large": large,
                "large_images_per_second": run["images_per_second"],
                "peak_mb_large": run["peak_mb"],
                "main_mb_large": run["main_mb"],
                "peak_mb_growth": run["peak_mb"] - result["peak_mb_small"],
                "open_seconds": _run("report_opening", str(root / "data"), "large")[0]["seconds"],
            }
    return result


def draw_faces(folder: Path, count: int, side: int, seed: int = 0) -> None:
    """Write `count` different gray JPEGs of `side` pixels into five class folders."""
    rng = np.random.default_rng(seed)
    for name in FIVE:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12), dtype=np.uint8))
        picture = coarse.resize((side, side), Image.Resampling.BICUBIC)
        picture.save(folder / FIVE[index % len(FIVE)] / f"{index:07}.jpg", quality=90)


def report_import(source: str, root: str, workers: str) -> None:
    """Import and write the figures to standard output as JSON; runs in a process of its own."""
    from mlopsproject.data.importer import import_dataset

    folder = Path(source)
    started = time.perf_counter()
    result = import_dataset(folder, folder.name, root=Path(root), workers=int(workers), progress=False)
    # Not `result.info["seconds"]`, which is rounded for people.
    seconds = time.perf_counter() - started
    # Not `ru_maxrss`: that starts at what the parent had when it forked.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    _answer({"images_per_second": result.info["files"] / seconds, "main_mb": peak})


def report_opening(root: str, name: str) -> None:
    """Open a data set and write the seconds to standard output as JSON; runs in a process of its own."""
    from mlopsproject.data.dataset import load_dataset

    started = time.perf_counter()
    dataset = load_dataset(name, root=Path(root), progress=False)
    seconds = time.perf_counter() - started
    _answer({"seconds": seconds, "images": len(dataset.images)})


def _answer(figures: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")


def _import(root: Path, name: str, workers: int) -> dict[str, float]:
    figures, peak = _run("report_import", str(root / name), str(root / "data"), str(workers))
    return {**figures, "peak_mb": max(peak, figures["main_mb"])}


def _run(function: str, *arguments: str) -> tuple[dict[str, float], float]:
    """Run one of this module's functions in a fresh interpreter; returns its answer and the peak memory in MB."""
    psutil = importlib.import_module("psutil")  # a tool for developers, not needed to import data
    job = subprocess.Popen(  # noqa: S603  # this interpreter, arguments of our own
        [sys.executable, "-c", _JOB.format(function), *arguments], stdout=subprocess.PIPE, text=True
    )
    watched = psutil.Process(job.pid)
    peak = 0.0
    while job.poll() is None:
        peak = max(peak, _tree_mb(watched))
        time.sleep(_SAMPLE_SECONDS)
    output = job.stdout.read() if job.stdout else ""
    if job.returncode:
        raise RuntimeError(f"{function} ended with exit code {job.returncode}")
    answer: dict[str, float] = json.loads(output.splitlines()[-1])
    return answer, peak


def _tree_mb(process: Any) -> float:
    """Resident memory of a process and all its descendants, in MB."""
    total = 0
    # A process may end between being listed and being looked at.
    with contextlib.suppress(importlib.import_module("psutil").NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            total += member.memory_info().rss
    return total / 2**20
