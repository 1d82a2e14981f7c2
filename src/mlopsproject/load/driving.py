"""Sending requests from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from mlopsproject.core.errors import UserError
from mlopsproject.load.client import TIMEOUT, Measured
from mlopsproject.load.processes import neutral_environment

_CODE: Final = "from mlopsproject.load.client import main; main()"


def drive(
    requests: Path,
    port: int,
    pid: int,
    *,
    seconds: float,
    warmup: float,
    connections: int,
    core: int,
    rate: float | None = None,
) -> Measured:
    """Send requests from a process of its own, and measure.

    Args:
        requests: file that `client.save_requests` wrote.
        port: of the server.
        pid: of the server's first process.
        seconds: that are measured.
        warmup: seconds before, not measured.
        connections: each with at most one request at a time.
        core: on which the client runs.
        rate: requests per second, evenly spaced, whether or not the server keeps up; by default each connection sends
            its next request when it has the answer to the last one.

    Raises:
        UserError: if the client fails, or an answer is wrong.
    """
    options = {
        "requests": str(requests),
        "port": port,
        "pid": pid,
        "seconds": seconds,
        "warmup": warmup,
        "connections": connections,
        "core": core,
        "rate": rate,
    }
    try:
        done = subprocess.run(  # noqa: S603  # this interpreter, arguments of our own
            [sys.executable, "-c", _CODE, json.dumps(options)],
            env=neutral_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + warmup + 2 * TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"The client did not end within {error.timeout:g} s: the server does not answer.") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise UserError(f"The client failed (exit code {done.returncode}): {said[-1]}")
    measured = Measured(**json.loads(done.stdout))
    if measured.wrong or not measured.requests:
        raise UserError(f"Not all of {measured.requests:,} answers were right: {measured.wrong or 'there were none'}.")
    return measured
