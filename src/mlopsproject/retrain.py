"""Train on new data and promote what is better: `python -m mlopsproject.retrain new_data=NAME alias=production`.

Exit codes: 0 done, whatever was decided, 1 error, 4 too few faces to tell whether to retrain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import load_config, run_job, started_with, values
from mlopsproject.core.commands import job_command
from mlopsproject.monitoring.comparison import PAGE_FILE, Comparison
from mlopsproject.monitoring.job import NOT_ENOUGH_DATA, OK
from mlopsproject.monitoring.retraining import Retraining
from mlopsproject.monitoring.retraining_settings import STEPS, Outcome


def retrain(config: DictConfig) -> Outcome:
    """Retrain as the config says and print what was decided."""
    settings = values(config)
    outcome = Retraining(settings, _train).run()
    console = Console()
    if outcome.comparison is not None:
        console.print(_table(outcome.comparison))
    console.print(_decision(outcome, settings), soft_wrap=True, highlight=False, markup=False)
    console.print(f"Steps done: {', '.join(outcome.done) or 'none'}. Folder: {outcome.folder}", soft_wrap=True)
    if outcome.comparison is not None:
        console.print(f"Report: {outcome.folder / PAGE_FILE}", soft_wrap=True, highlight=False)
    return outcome


def _train(overrides: list[str], output: Path) -> None:
    # PyTorch takes seconds to import, which a retraining without a reason need not wait for.
    from mlopsproject.training.run import train

    with started_with(overrides):
        train(load_config("train", overrides), output)


def _decision(outcome: Outcome, settings: dict[str, Any]) -> str:
    alias = settings["alias"]
    if outcome.stopped:
        return outcome.stopped
    if outcome.promoted:
        back = job_command("rollback", f"alias={alias}", f"store.uri={settings['store']['uri']}")
        return f"Promoted: {alias}: {outcome.production} -> {outcome.promoted}. Back again: {back}"
    if outcome.comparison is None:
        return f"Next: step={STEPS[len(outcome.done)]}"
    if outcome.comparison.better:
        return f"{outcome.comparison.candidate} is better; step=promote moves {alias}. {outcome.comparison.reason}"
    return f"Kept aside: {outcome.comparison.candidate}. {outcome.comparison.reason}"


def _table(comparison: Comparison) -> Table:
    table = Table(title="Candidate against production")
    table.add_column("test images of")
    for name in ("images", "production", "candidate", "difference", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, part in (("new data", comparison.new), ("old data", comparison.old)):
        shares = ["-" if share is None else f"{100 * share:.1f}" for share in (part.production, part.candidate)]
        difference = "-" if part.difference is None else f"{100 * part.difference:+.1f}"
        interval = "-" if part.low is None or part.high is None else f"{100 * part.low:+.1f} to {100 * part.high:+.1f}"
        table.add_row(name, f"{part.images:,}", *shares, difference, interval)
    return table


def _code(outcome: Outcome) -> int:
    """4 if there are too few faces to tell whether to retrain."""
    too_few = outcome.stopped and outcome.report is not None and outcome.report.verdict == "not_enough_data"
    return NOT_ENOUGH_DATA if too_few else OK


def main() -> None:
    """Run from the command line."""
    run_job("retrain", lambda config: _code(retrain(config)))


if __name__ == "__main__":
    main()
