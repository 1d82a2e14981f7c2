"""Write the prediction log as a table: `python -m mlopsproject.log_export output=predictions.parquet`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import require, run_job, values
from mlopsproject.core.checks import check_flag
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.moments import parse_moment
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.export import ExportResult, Selection, export
from mlopsproject.prediction_log.queries import count_waiting
from mlopsproject.prediction_log.settings import LogSettings


def log_export(config: DictConfig) -> ExportResult:
    """Export as the config says and print what was written."""
    settings = values(config)
    check_flag("progress", settings["progress"])
    selection = Selection(
        parse_moment("since", settings["since"]),
        parse_moment("until", settings["until"]),
        settings["model_version"],
    )
    if selection.since and selection.until and selection.since >= selection.until:
        raise ConfigError(f"since={selection.since} is not before until={selection.until}.")
    log = LogSettings.read(database_url=settings["database_url"])
    database = Database(log.url)
    result = export(database, Path(str(require(settings, "output"))), selection, progress=settings["progress"])
    console = Console()
    console.print(
        f"{result.rows:,} rows, {result.with_feedback:,} of them with feedback: {result.output}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    if waiting := count_waiting(log):
        console.print(f"{waiting:,} newer rows wait on this machine and are not in it.", soft_wrap=True)
    return result


def main() -> None:
    """Run from the command line."""
    run_job("log_export", log_export)


if __name__ == "__main__":
    main()
