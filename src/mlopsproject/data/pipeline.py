"""Chunks of items through worker processes and back in order, with bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from mlopsproject.core.errors import DataError
from mlopsproject.core.processes import end_with_parent, main_module_hidden
from mlopsproject.data.examine import Examined, ExamineOptions, examine
from mlopsproject.data.items import Item

#: A chunk closes at this many items or bytes read by the main process, whichever comes first.
CHUNK_ITEMS = 256
CHUNK_BYTES = 16 * 1024 * 1024
#: Fewer files than this are done before a further process has started.
FILES_PER_WORKER = 1000


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Cut a source's items into chunks, always at the same places."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.payload) if isinstance(item.payload, bytes | str) else 0
        if len(chunk) == CHUNK_ITEMS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def chunk_sizes() -> dict[str, int]:
    """Give the sizes that decide where `chunks` cuts."""
    return {"chunk_items": CHUNK_ITEMS, "chunk_bytes": CHUNK_BYTES}


def worker_count(asked: int | None, files: int) -> int:
    """Say how many processes to use: as asked or one per core, but none that would start up for a handful of files."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(asked or cores, files // FILES_PER_WORKER))


def examine_all(
    items: Iterable[Item], options: ExamineOptions, *, workers: int, skip: int = 0
) -> Generator[Examined, None, None]:
    """Examine every item; results come back in the order of the chunks.

    Args:
        items: from `Source.items`.
        options: what to do with each.
        workers: processes; 1 works in this process.
        skip: chunks already done in an earlier run.

    Raises:
        DataError: a worker died, usually for want of memory.
    """
    todo = islice(chunks(items), skip, None)
    if workers <= 1:
        for chunk in todo:
            yield examine(chunk, options)
        return
    # Not fork: the caller may have threads (torch, progress bars) whose locks a fork would copy in a held state.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([examine.__module__])
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[Future[Examined]] = deque()
    try:
        started = False
        for chunk in todo:
            started = started or (bool(waiting) and waiting[0].done())
            if not started and 2 * workers <= len(waiting) < 8 * workers:
                # The processes take a while to start, with enough to do already: this one works in the meantime.
                waiting.append(_done(examine(chunk, options)))
                continue
            with main_module_hidden():
                waiting.append(pool.submit(examine, chunk, options))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "A worker process died, probably for want of memory.",
            "Run the same command again to continue, with workers=1.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _done(examined: Examined) -> Future[Examined]:
    future: Future[Examined] = Future()
    future.set_result(examined)
    return future


def _start_worker() -> None:
    """Leave Ctrl-C to the main process, and end when that one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
