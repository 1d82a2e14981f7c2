"""Airflow on one machine, light: one process tree, SQLite, four small services. `uv run invoke airflow-up`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import psutil

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
#: For Airflow to end by itself, before it is killed.
_STOP_SECONDS = 30


def settings(home: Path, port: int) -> dict[str, str]:
    """Environment of Airflow; what is set already goes before it.

    Args:
        home: folder of Airflow's database, logs and generated password.
        port: of its page and API.
    """
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(HERE / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        # As many tasks at a time as a laptop has room for.
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__WORKERS": "1",
        # A task whose process is gone is tried again after this many seconds.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "FACES_SOURCE": str(REPOSITORY / "train_data"),
        # The log of an API that was started in the repository.
        "DATABASE_URL": f"sqlite:///{REPOSITORY / 'runs/serving/predictions.db'}",
    }


def serve(command: list[str]) -> int:
    """Run `airflow standalone` until it ends or this process is to stop; then end all that it has started.

    Airflow itself leaves services behind when the signal of a terminal reaches them all at once.

    Returns:
        Exit code: 130 after Ctrl-C, 143 after SIGTERM.
    """
    stopped: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    process = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - Airflow's own command
    try:
        return process.wait()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        everything = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs([psutil.Process(process.pid), *everything], timeout=_STOP_SECONDS)
        for one in alive:
            one.kill()
        return 128 + stopped[0]


def main() -> int:
    """Run `airflow standalone`, or become the Airflow command that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=REPOSITORY / "runs/airflow/home", help="Airflow's own folder")
    parser.add_argument("--port", type=int, default=8080, help="of the page and the API (8080)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="an Airflow command (standalone)")
    options = parser.parse_args()
    home = options.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update({**settings(home, options.port), **os.environ})
    # Airflow starts its services by name.
    here = Path(sys.executable).parent
    os.environ["PATH"] = os.pathsep.join([str(here), os.environ.get("PATH", os.defpath)])
    if options.command:
        os.execv(here / "airflow", ["airflow", *options.command])  # noqa: S606 - of this environment
    password = home / "simple_auth_manager_passwords.json.generated"
    print(f"Airflow: http://localhost:{options.port}, user admin, password in {password}", flush=True)
    return serve([str(here / "airflow"), "standalone"])


if __name__ == "__main__":
    sys.exit(main())
