"""Airflow on one machine, light: one process tree, SQLite, four small services. `uv run invoke airflow-up`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]


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
    }


def main() -> None:
    """Become `airflow standalone`, or the Airflow command that is given."""
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
    os.execv(here / "airflow", ["airflow", *(options.command or ["standalone"])])  # noqa: S606 - of this environment


if __name__ == "__main__":
    main()
