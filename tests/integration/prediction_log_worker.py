"""A worker under load: writes rows from several clients at once and prints the identifier of each that is acknowledged.

`python -m tests.integration.prediction_log_worker NAME SECONDS`; the log's settings come from the environment.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time

from tests.prediction_rows import make_row

from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.log import PredictionLog
from mlopsproject.prediction_log.settings import LogSettings

CLIENTS = 8
#: Seconds between two rows of a client.
PAUSE = 0.01


async def work(name: str, seconds: float) -> None:
    log = PredictionLog(LogSettings.read(None))
    log.start()
    numbers, until = itertools.count(), time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < until:
            row = make_row(request_id=f"{name}-{next(numbers):08d}")
            try:
                await log.write([row])
            except LogUnavailable:
                os.write(2, b"a row was not kept\n")
            else:
                # One call each, so that a kill leaves no half line.
                os.write(1, f"{row.prediction_id}\n".encode())
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await log.close(20)


def main() -> None:
    """Work for the given time, then close the log as a server does."""
    name, seconds = sys.argv[1:]
    asyncio.run(work(name, float(seconds)))


if __name__ == "__main__":
    main()
