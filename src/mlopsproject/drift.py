"""Compare current faces with a bundle's reference: `python -m mlopsproject.drift current=FOLDER|dataset:NAME|log`.

Exit codes: 0 nothing found, 1 error, 3 drift or decay, 4 not enough data.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import output_folder, run_job, values
from mlopsproject.core.drift_reports import PAGE_FILE, PICTURE_FILE
from mlopsproject.core.schemas import ColumnDrift, DriftReport, Performance
from mlopsproject.monitoring.job import exit_code, publish_report, run_drift
from mlopsproject.prediction_log.queries import count_waiting
from mlopsproject.prediction_log.settings import LogSettings

_WORDS = {
    "ok": "[green]no drift",
    "drift": "[bold red]drift",
    "not_enough_data": "[yellow]not enough data",
    "decay": "[bold red]decay",
    "chosen_labels": "[yellow]labels were chosen",
}


def drift(config: DictConfig, output: Path) -> DriftReport:
    """Run the drift job as the config says and print what it found."""
    settings = values(config)
    report = run_drift(settings, output)
    console = Console()
    _show(console, report, output)
    published = publish_report(report, settings, output)
    if published is not None:
        console.print(f"Published: {published}", soft_wrap=True, highlight=False)
    return report


def _show(console: Console, report: DriftReport, output: Path) -> None:
    if report.columns:
        console.print(_table(report))
    rows = f"{report.current_rows:,} different faces of {report.current}"
    repeated = f" ({report.repeated_rows:,} more repeat one of them)" if report.repeated_rows else ""
    needed = f", {report.min_rows} are needed" if report.verdict == "not_enough_data" else ""
    console.print(f"Drift: {_WORDS[report.verdict]}[/] – {rows}{repeated}{needed}", soft_wrap=True, highlight=False)
    if report.unusable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(report.unusable.items()))
        console.print(f"Not usable: {reasons}", soft_wrap=True, highlight=False)
    if report.performance is not None:
        console.print(_performance(report.performance), soft_wrap=True, highlight=False)
    if report.source == "log":
        _mention_waiting_rows(console)
    for file in (PICTURE_FILE, PAGE_FILE):
        if (output / file).is_file():
            console.print(f"{'Picture' if file == PICTURE_FILE else 'Report'}: {output / file}", soft_wrap=True)


def _table(report: DriftReport) -> Table:
    first = report.columns[0]
    table = Table(title=f"Current faces against {report.bundle}")
    table.caption = f"drifted: distance of at least {first.min_distance:g} and p-value below {first.threshold:.2g}"
    table.add_column("column")
    table.add_column("reference → current", no_wrap=True)
    for name in ("distance", "p-value"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for column in report.columns:
        verdict = "[bold red]drifted" if column.drifted else ""
        table.add_row(column.column, _moved(column), f"{column.distance:.3f}", f"{column.p_value:.1g}", verdict)
    return table


def _moved(column: ColumnDrift) -> str:
    """The means of both sides, or the shares of the class that moved most."""
    old, new = column.reference, column.current
    if "mean" in old:
        return f"{old['mean']:.3f} → {new['mean']:.3f}"
    name = max({**old, **new}, key=lambda name: abs(new.get(name, 0) - old.get(name, 0)))
    return f"{name} {100 * old.get(name, 0):.0f}% → {100 * new.get(name, 0):.0f}%"


def _performance(found: Performance) -> str:
    word = "[green]no decay" if found.verdict == "ok" else _WORDS[found.verdict]
    if found.accuracy is None or found.low is None or found.high is None:
        return f"Performance: {word}[/] – no labels"
    interval = f"{100 * found.accuracy:.1f} % ({100 * found.low:.1f}–{100 * found.high:.1f}) on {found.labels:,} labels"
    return f"Performance: {word}[/] – {interval}, {100 * found.baseline:.1f} % on test. {found.note}"


def _mention_waiting_rows(console: Console) -> None:
    if waiting := count_waiting(LogSettings.read()):
        console.print(f"{waiting:,} newer rows wait on this machine and are not in it.", soft_wrap=True)


def main() -> None:
    """Run from the command line."""
    run_job("drift", lambda config: exit_code(drift(config, output_folder())))


if __name__ == "__main__":
    main()
