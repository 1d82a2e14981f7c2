"""Delete old rows of the prediction log: `python -m mlopsproject.log_prune keep_days=90`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import require, run_job, values
from mlopsproject.core.checks import check_flag, check_whole
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.prune import PruneResult, count_prunable, prune
from mlopsproject.prediction_log.settings import LogSettings

#: A century: beyond, the calendar ends.
_MOST_DAYS = 36_500


def log_prune(config: DictConfig) -> PruneResult:
    """Prune as the config says and print what was deleted, or would be."""
    settings = values(config)
    check_whole("keep_days", require(settings, "keep_days"), lowest=1, highest=_MOST_DAYS)
    check_flag("dry_run", settings["dry_run"])
    before = datetime.now(UTC) - timedelta(days=settings["keep_days"])
    database = Database(LogSettings.read(database_url=settings["database_url"]).url)
    result = count_prunable(database, before) if settings["dry_run"] else prune(database, before)
    what = "would be deleted (dry_run=true)" if settings["dry_run"] else "deleted"
    Console().print(
        f"{result.predictions:,} answers and {result.feedback:,} feedback rows from before {before:%Y-%m-%d %H:%M} UTC "
        f"{what}.",
        soft_wrap=True,
        highlight=False,
    )
    return result


def main() -> None:
    """Run from the command line."""
    run_job("log_prune", log_prune)


if __name__ == "__main__":
    main()
