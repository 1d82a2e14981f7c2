"""What the drift job costs over a prediction log: `benchmark what=drift_log`."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import update

from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import DataError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store_files import DEFAULT_STORE
from mlopsproject.load.bars import at_most
from mlopsproject.load.generated_log import GeneratedLog
from mlopsproject.load.stats_benchmark import temporary_databases
from mlopsproject.prediction_log.tables import predictions

#: Seconds and megabytes that a run may take.
MOST_SECONDS: Final = 30.0
MOST_MB: Final = 1000.0
#: Exit codes of a run that ended as it should: no drift, or drift.
_ENDED: Final = (0, 3)


def benchmark_drift_log(
    bundle: str = "sample",
    store: str = DEFAULT_STORE,
    rows: int = 50_000,
    remarks: int = 1000,
    database_url: str | None = None,
) -> dict[str, Any]:
    """Fill a temporary SQLite database, and PostgreSQL where one is named, and run the drift job over it.

    Args:
        bundle: that is taken for the one that answered.
        store: where it is.
        rows: answers in the log, all of them different faces.
        remarks: feedback to them.
        database_url: of a PostgreSQL database. The tables are made in a schema of their own, which is removed again.

    Returns:
        Seconds and megabytes of the job's process by database, its start included, and the `bars`.

    Raises:
        DataError: if the job fails.
        UserError: for an impossible value, a missing bundle, or a database that cannot be used.
    """
    check_whole("drift_log.rows", rows, lowest=1000)
    check_whole("drift_log.remarks", remarks, lowest=0)
    name = resolve_bundle(bundle, store).name
    log = GeneratedLog(rows, datetime.now(UTC).timestamp(), 6, 1, remarks)
    figures: dict[str, Any] = {"machine": cpu_name(), "rows": rows}
    bars: dict[str, dict[str, Any]] = {}
    with temporary_databases(database_url) as databases:
        for kind, database in databases.items():
            log.fill(database)
            with database.transaction() as connection:
                connection.execute(update(predictions).values(model_version=name))
            seconds, megabytes = _run(bundle, store, database.url.render_as_string(hide_password=False))
            figures[kind] = {"seconds": seconds, "megabytes": megabytes}
            for what, measured, most in (("s", seconds, MOST_SECONDS), ("MB", megabytes, MOST_MB)):
                bars[f"drift over {rows:,} rows, {kind}, {what}"] = at_most(measured, most)
    return figures | {"bars": bars}


def _run(bundle: str, store: str, database_url: str) -> tuple[float, float]:
    """Run the job in a process of its own; seconds, and the most memory of all such processes so far, in MB."""
    # As users write it, without the driver.
    url = database_url.replace("postgresql+psycopg://", "postgresql://")
    with tempfile.TemporaryDirectory(prefix="benchmark-drift-") as folder:
        given = [f"bundle={bundle}", f"store.uri={Path(store).resolve()}", "current=log", "since=7d", "publish=false"]
        command = [sys.executable, "-m", "mlopsproject.drift", *given, f"hydra.run.dir={folder}"]
        began = time.perf_counter()
        # In the environment, where no list of processes shows the password.
        environment = {**os.environ, "DATABASE_URL": url}
        done = subprocess.run(  # noqa: S603  # this interpreter, arguments of our own
            command, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    if done.returncode not in _ENDED:
        raise DataError(f"The drift job ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale / 1e6
