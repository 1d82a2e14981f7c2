"""Make or update the tables of the prediction log: `python -m mlopsproject.log_migrate`."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from mlopsproject.core.errors import UserError
from mlopsproject.prediction_log.migrate import Migration, migrate
from mlopsproject.prediction_log.settings import LogSettings


def log_migrate(env_file: str) -> Migration:
    """Migrate the database that the environment names and print what was done.

    Args:
        env_file: file of `NAME=value` lines beneath the environment; need not exist.

    Raises:
        UserError: if that is not possible.
    """
    migration = migrate(LogSettings.read(env_file))
    what = "up to date" if migration.before == migration.after else f"migrated from {migration.before or 'nothing'}"
    Console().print(f"{migration.database}: {what}, revision {migration.after}", soft_wrap=True, highlight=False)
    return migration


def main() -> None:
    """Run from the command line. Without Hydra, which containers of the API lack."""
    parser = argparse.ArgumentParser(description="Make or update the tables of the prediction log.")
    parser.add_argument("--env-file", default=".env", help="NAME=value lines beneath the environment (default: .env)")
    arguments = parser.parse_args()
    try:
        log_migrate(arguments.env_file)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", soft_wrap=True, markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
