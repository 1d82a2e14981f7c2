"""Running Locust without its page, and reading what it found out."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.errors import UserError
from mlopsproject.load.processes import neutral_environment

#: The name under which the locustfile counts requests that were refused with `Retry-After`.
BACK_PRESSURE: Final = "503 back-pressure"
#: Seconds for requests in work to be answered after the last one was sent, and then for Locust to end.
_STOP_SECONDS: Final = 20
_PATIENCE: Final = 60
_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """What was measured of one kind of request, or of several together.

    Attributes:
        name: of the kind.
        requests: that were answered or failed.
        failures: of them.
        per_second: requests.
        p50_ms: half of the requests took no longer; likewise the others.
    """

    name: str
    requests: int
    failures: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LocustResult:
    """What a run of Locust found out.

    Attributes:
        kinds: of requests, without back-pressure.
        total: of these.
        back_pressure: requests that were refused because the API was busy.
        reasons: how often requests failed, by what went wrong.
    """

    kinds: tuple[RequestFigures, ...]
    total: RequestFigures
    back_pressure: int
    reasons: dict[str, int]


def run_locust(
    locustfile: Path,
    host: str,
    output: Path,
    *,
    users: int,
    spawn_rate: float,
    seconds: float,
    api_key: str | None,
    check: Callable[[], None],
) -> LocustResult:
    """Run Locust for a while. It writes `locust_*.csv`, `report.html` and `locust.log`, and the ids to `answers.txt`.

    Args:
        locustfile: what users do.
        host: address of the API.
        output: folder for what is written.
        users: at the same time.
        spawn_rate: users that begin per second.
        seconds: after which no more requests are sent.
        api_key: that users send, if any.
        check: called again and again; may raise to end the run.

    Raises:
        UserError: if Locust fails, or ends without having measured anything.
    """
    (output / "answers.txt").touch()
    command = _command(locustfile.resolve(), host, output.resolve(), users, spawn_rate, seconds)
    environment = neutral_environment() | ({"API_KEY": api_key} if api_key else {})
    log = output / "locust.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603  # this interpreter, arguments of our own
            command,
            cwd=output,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(process, seconds + _STOP_SECONDS + _PATIENCE, check)
        finally:
            _end(process)
    if process.returncode or not (output / "locust.json").is_file():
        raise UserError(f"Locust failed (exit code {process.returncode}).", f"See {log}.")
    return read_result(output)


def read_result(output: Path) -> LocustResult:
    """Read what Locust wrote into a folder.

    Raises:
        UserError: if nothing was measured.
    """
    entries: list[dict[str, Any]] = json.loads((output / "locust.json").read_text(encoding="utf-8"))
    counted = [entry for entry in entries if entry["name"] != BACK_PRESSURE]
    if not counted:
        raise UserError(f"No request was answered, see {output / 'locust.log'}.")
    # The wait for the first user, and for the last answers, is no time in which requests were sent.
    start = min(entry["start_time"] for entry in entries)
    seconds = max(entry["last_request_timestamp"] or start for entry in entries) - start
    reasons = {
        f"{row['Name']}: {row['Error']}": int(row["Occurrences"]) for row in _rows(output / "locust_failures.csv")
    }
    exceptions = {f"locustfile: {row['Message']}": int(row["Count"]) for row in _rows(output / "locust_exceptions.csv")}
    return LocustResult(
        kinds=tuple(_figures(entry["name"], [entry], seconds) for entry in sorted(counted, key=lambda e: e["name"])),
        total=_figures("all", counted, seconds),
        back_pressure=sum(entry["num_requests"] for entry in entries if entry["name"] == BACK_PRESSURE),
        reasons=reasons | exceptions,
    )


def _command(locustfile: Path, host: str, output: Path, users: int, spawn_rate: float, seconds: float) -> list[str]:
    options = {
        "--locustfile": locustfile,
        "--host": host,
        "--users": users,
        "--spawn-rate": spawn_rate,
        "--run-time": f"{seconds:g}s",
        "--stop-timeout": _STOP_SECONDS,
        "--csv": output / "locust",
        "--html": output / "report.html",
        # Locust adds the ending.
        "--json-file": output / "locust",
        "--answers": output / "answers.txt",
        # Thresholds are judged here.
        "--exit-code-on-error": 0,
    }
    pairs = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", "locust", "--headless", "--only-summary", *pairs]


def _wait(process: subprocess.Popen[bytes], seconds: float, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        check()
        if time.monotonic() > deadline:
            raise UserError(f"Locust did not end within {seconds:g} s.", "Give fewer users.")
        time.sleep(_LOOK_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill Locust if it still runs, with what it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _figures(name: str, entries: Sequence[Mapping[str, Any]], seconds: float) -> RequestFigures:
    times: Counter[float] = Counter()
    for entry in entries:
        times.update({float(ms): count for ms, count in entry["response_times"].items()})
    requests = sum(entry["num_requests"] for entry in entries)
    p50, p95, p99 = (_percentile(times, share) for share in (0.5, 0.95, 0.99))
    return RequestFigures(
        name=name,
        requests=requests,
        failures=sum(entry["num_failures"] for entry in entries),
        per_second=requests / seconds if seconds > 0 else 0.0,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def _percentile(times: Mapping[float, int], share: float) -> float:
    """The time that a share of the requests did not exceed; Locust rounds times to two digits.

    Args:
        times: how many requests took how many milliseconds.
        share: 0-1.
    """
    left = share * sum(times.values())
    for milliseconds in sorted(times):
        left -= times[milliseconds]
        if left <= 0:
            return milliseconds
    return 0.0
