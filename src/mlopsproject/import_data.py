"""Import faces: `python -m mlopsproject.import_data source=PATH name=N`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import require, run_job, values
from mlopsproject.core.commands import job_command
from mlopsproject.data.importer import ImportResult, import_dataset


def summary(result: ImportResult) -> Table:
    """What an import found, as a table: counts per class and split, then every reason for leaving a file out."""
    info = result.info
    left_out = sum(info["excluded"].values())
    title = f"{info['name']}: {info['files']:,} files = {info['rows']:,} images + {left_out:,} left out"
    # A title wraps at the table's width, which is small for few splits.
    table = Table(title=title, min_width=len(title) + 2)
    splits = list(info["splits"])
    table.add_column("class")
    for split in splits:
        table.add_column(split or "dropped", justify="right")
    for label in sorted({label for counts in info["splits"].values() for label in counts}):
        table.add_row(label, *(f"{info['splits'][split].get(label, 0):,}" for split in splits))
    for reason, count in sorted(info["excluded"].items()):
        table.add_row(f"[dim]left out: {reason}", f"{count:,}")
    return table


def _votes_line(votes: dict[str, Any]) -> str:
    left_out = f" Columns left out: {', '.join(votes['left_out'])}." if votes["left_out"] else ""
    return (
        f"Votes: {votes['images']:,} images have some, {votes['without']:,} none. {votes['majority']:,} have a "
        f"majority, for {votes['given_is_majority']:,} of these it is their own label.{left_out}"
    )


def import_data(config: DictConfig) -> None:
    """Import as the config says and print what was found."""
    settings = values(config)
    source, name = require(settings, "source"), require(settings, "name")
    options = {key: value for key, value in settings.items() if key not in ("source", "name", "root")}
    result = import_dataset(str(source), str(name), root=Path(settings["root"]), **options)
    console = Console()
    console.print(summary(result))
    twins, conflicts = result.info["twins"], result.info["conflicts"]
    groups = "1 group" if twins["groups"] == 1 else f"{twins['groups']:,} groups"
    console.print(
        f"Twins: {twins['images']:,} images in {groups} of equal or nearly equal pictures. "
        f"Conflicting labels: {conflicts['images']:,} images, {conflicts['dropped_from_train']:,} of them dropped.",
        soft_wrap=True,
    )
    if votes := result.info["votes"]:
        console.print(_votes_line(votes), soft_wrap=True, markup=False)
    console.print(f"Files left out and why: {result.folder / 'excluded.csv'}", soft_wrap=True, markup=False)
    console.print(f"Look at it:  {job_command('data-report', f'name={name}')}", soft_wrap=True)
    # Only named do classes of one's own take part in a training.
    own = [f"classes=[{','.join(settings['classes'])}]"] if result.info["options"]["own_classes"] else []
    voted = ["data.labels=votes"] if result.info["votes"] else []
    train = job_command("train", f"data.name={name}", *voted, *own)
    console.print(f"Train on it: {train}", soft_wrap=True, markup=False)


def main() -> None:
    """Run from the command line."""
    run_job("import_data", import_data)


if __name__ == "__main__":
    main()
