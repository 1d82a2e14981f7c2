"""Threads that no end of the process waits for."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref

import pytest

from mlopsproject.api.threads import DaemonPool, in_own_thread

LEAVE = """
import sys, threading, time
from mlopsproject.api.threads import DaemonPool, leave
pool = DaemonPool(1, "slow")
if len(sys.argv) > 1:
    begun = threading.Event()
    pool.submit(lambda: (begun.set(), time.sleep(60)))
    begun.wait()
print("flushed")
pool.shutdown(wait=False)
leave(7)
"""


@pytest.fixture
def pool():
    made = DaemonPool(1, "test")
    yield made
    made.shutdown(wait=False, cancel_futures=True)


def test_calls_are_made_in_order_and_give_what_they_give(pool):
    found = [pool.submit(pow, base, exp=2) for base in range(5)]
    assert [future.result(5) for future in found] == [0, 1, 4, 9, 16]


def test_an_error_belongs_to_its_caller_and_the_thread_works_on(pool):
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(5)
    assert pool.submit(lambda: threading.current_thread().name).result(5) == "test-0"


def test_a_failed_call_keeps_nothing_of_what_it_was_given(pool):
    class Picture:
        def fail(self):
            raise ValueError("damaged")

    picture = Picture()
    seen = weakref.ref(picture)
    gc.disable()
    try:
        assert isinstance(pool.submit(picture.fail).exception(5), ValueError)
        pool.submit(int).result(5)
        del picture
        assert seen() is None
    finally:
        gc.enable()


def test_the_end_waits_for_nothing_and_gives_up_what_has_not_begun(pool):
    gate, begun = threading.Event(), threading.Event()
    first = pool.submit(lambda: (begun.set(), gate.wait(20)))
    second = pool.submit(pow, 2, 2)
    assert begun.wait(5)
    start = time.monotonic()
    pool.shutdown(wait=False, cancel_futures=True)
    assert time.monotonic() - start < 2
    assert (pool.busy, second.cancelled(), first.done()) == (1, True, False)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(pow, 2, 2)
    gate.set()
    pool.shutdown(wait=True)
    assert first.done()


def test_a_call_can_have_a_thread_of_its_own():
    name = asyncio.run(in_own_thread("lonely", lambda: threading.current_thread().name))
    assert name == "lonely-0"


@pytest.mark.parametrize("busy", [[], ["busy"]])
def test_a_process_is_left_with_its_code_whatever_its_threads_do(busy):
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", LEAVE, *busy], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (7, "flushed\n", "")
    assert time.monotonic() - start < 20
