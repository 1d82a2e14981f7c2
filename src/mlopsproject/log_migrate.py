"""Make or update the tables of the prediction log: `python -m mlopsproject.log_migrate`."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from mlopsproject.core.errors import UserError
from mlopsproject.prediction_log.migrate import Migration, migrate
from mlopsproject.prediction_log.settings import LogSettings


def log_migrate(env_file: str) -> list[Migration]:
    """Migrate the databases that the environment names and print what was done.

    Args:
        env_file: file of `NAME=value` lines beneath the environment; need not exist.

    Raises:
        UserError: if that is not possible.
    """
    console, done = Console(), migrate(LogSettings.read(env_file))
    for migration in done:
        what = "up to date" if migration.before == migration.after else f"migrated from {migration.before or 'nothing'}"
        taken = f", {migration.taken_over:,} rows of the old spool taken over" if migration.taken_over else ""
        text = f"{migration.database}: {what}, revision {migration.after}{taken}"
        console.print(text, soft_wrap=True, highlight=False, markup=False)
    return done


def main() -> None:
    """Run from the command line. Without Hydra, which containers of the API lack."""
    parser = argparse.ArgumentParser(
        description="Make or update the tables of the prediction log, and take over the spool of an older version."
    )
    parser.add_argument("--env-file", default=".env", help="NAME=value lines beneath the environment (default: .env)")
    arguments = parser.parse_args()
    try:
        log_migrate(arguments.env_file)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", soft_wrap=True, markup=False, highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
