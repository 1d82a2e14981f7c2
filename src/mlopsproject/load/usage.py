"""What running processes use of the machine."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

_LIBRARY: Final = re.compile(r"/(?:site|dist)-packages/([A-Za-z_]\w*)/")


def workers(pid: int) -> list[psutil.Process]:
    """The processes of a server that answer.

    Args:
        pid: of the first one, which answers itself unless it has started others for that.
    """
    children = [child for child in psutil.Process(pid).children() if "onnxruntime" in loaded_libraries(child)]
    return children or [psutil.Process(pid)]


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """CPU time, user and system, that a process and its living descendants have used."""
    total = 0.0
    for process in tree(pid):
        # A process may end between being listed and being looked at.
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def memory_mb(process: psutil.Process) -> float:
    """Resident memory, in MB."""
    return float(process.memory_info().rss) / 1e6


def loaded_libraries(process: psutil.Process) -> set[str]:
    """The Python packages with compiled parts that a process has loaded, by what is mapped into its memory."""
    try:
        mapped = Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return set()
    return set(_LIBRARY.findall(mapped))
