"""A helper process does what it is asked, and what costs too much ends the helper and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helper_tasks import crash, refuse, spin, take
from tests.prediction_rows import wait_for

from mlopsproject.core.errors import ImageError
from mlopsproject.core.helpers import Helpers, Limits, run_forked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
ROOT = Path(__file__).parents[3]
LIMITS = Limits(memory_mb=100, cpu_seconds=1, seconds=16)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def helpers() -> Iterator[Helpers]:
    made = Helpers(1, LIMITS)
    with pytest.MonkeyPatch.context() as patch:
        # Where helpers find `tests.helper_tasks`.
        patch.syspath_prepend(ROOT)
        yield made
    made.close()


def test_a_call_gives_what_the_function_gives(helpers: Helpers) -> None:
    assert helpers.run(len, b"abc") == 3
    assert helpers.run(os.getpid) != os.getpid()


def test_its_errors_are_the_callers(helpers: Helpers) -> None:
    with pytest.raises(ImageError) as caught:
        helpers.run(refuse)
    assert (caught.value.reason, caught.value.message) == ("empty", "The file is empty (0 bytes).")
    with pytest.raises(ZeroDivisionError):
        helpers.run(divmod, 1, 0)


def test_too_much_computing_ends_the_helper_and_the_next_call_has_another(helpers: Helpers) -> None:
    before = helpers.run(os.getpid)
    start = time.monotonic()
    with pytest.raises(ImageError, match="more than 1 s of computing") as caught:
        helpers.run(spin)
    assert caught.value.reason == "too_costly"
    assert time.monotonic() - start < 16
    assert not is_alive(before)
    assert helpers.run(os.getpid) != before


def test_the_computing_of_earlier_calls_does_not_count(helpers: Helpers) -> None:
    for _ in range(3):
        assert helpers.run(sum, range(10_000_000)) == 49_999_995_000_000


def test_too_much_memory_is_refused_and_given_back(helpers: Helpers) -> None:
    assert helpers.run(take, 60) == 60_000_000
    for _ in range(3):
        with pytest.raises(ImageError, match="more than 100 MB of memory") as caught:
            helpers.run(take, 200)
        assert caught.value.reason == "too_costly"
        assert helpers.run(take, 60) == 60_000_000


def test_what_only_waits_is_ended_as_well(helpers: Helpers) -> None:
    before = helpers.run(os.getpid)
    with pytest.raises(ImageError, match="longer than 16 s"):
        helpers.run(time.sleep, 60)
    wait_for(lambda: not is_alive(before), 2)


def test_a_decoder_that_crashes_is_a_damaged_picture(helpers: Helpers) -> None:
    with pytest.raises(ImageError, match="makes its decoder crash") as caught:
        helpers.run(crash)
    assert caught.value.reason == "truncated"
    assert helpers.run(len, b"abc") == 3


def test_a_helper_that_is_killed_between_two_calls_is_replaced(helpers: Helpers) -> None:
    os.kill(helpers.run(os.getpid), signal.SIGKILL)
    time.sleep(0.3)
    assert helpers.run(len, b"abc") == 3


def test_a_call_that_is_given_up_ends_its_helper(helpers: Helpers) -> None:
    before = helpers.run(os.getpid)

    async def give_up() -> None:
        task = asyncio.create_task(helpers.ask(time.sleep, 60))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await helpers.ask(len, b"abc") == 3

    asyncio.run(give_up())
    wait_for(lambda: not is_alive(before), 2)


def test_closing_ends_what_is_being_done() -> None:
    made = Helpers(1, LIMITS)
    pid = made.run(os.getpid)
    made._submit(time.sleep, 60)
    time.sleep(0.2)
    start = time.monotonic()
    made.close()
    assert time.monotonic() - start < 5
    assert not is_alive(pid)


_ORPHAN = """
import os, sys, time
from mlopsproject.core.helpers import Helpers, Limits, run_forked
helpers = Helpers(1, Limits(100, 5, 60))
print(helpers.run(os.getpid), flush=True)
helpers.run(time.sleep, 60)
"""


def test_a_helper_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    """Also of a script without a guard, which is not run a second time."""
    script = tmp_path / "script.py"
    script.write_text(_ORPHAN)
    owner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    wait_for(lambda: not is_alive(pid), 2)


def test_a_forked_process_does_what_it_is_asked_within_the_same_limits() -> None:
    assert run_forked(LIMITS, len, b"abc") == 3
    assert run_forked(LIMITS, os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        run_forked(LIMITS, divmod, 1, 0)
    for task, said in ((refuse, "is empty"), (spin, "more than 1 s of computing"), (crash, "makes its decoder crash")):
        with pytest.raises(ImageError, match=said):
            run_forked(LIMITS, task)
    with pytest.raises(ImageError, match=r"longer than 0\.2 s"):
        run_forked(replace(LIMITS, seconds=0.2), time.sleep, 60)


def test_a_forked_process_takes_no_more_memory() -> None:
    # In a process of its own: a fork may use again what its parent has freed.
    code = (
        "from mlopsproject.core.helpers import Limits, run_forked; from tests.helper_tasks import take; "
        "limits = Limits(memory_mb=100, cpu_seconds=5, seconds=30); print(run_forked(limits, take, 60)); "
        "run_forked(limits, take, 200)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "60000000\n"
    assert done.stderr.strip().endswith("ImageError: The picture takes more than 100 MB of memory.")
