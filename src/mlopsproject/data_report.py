"""Write a data set's HTML report: `python -m mlopsproject.data_report name=N`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, require, run_job, values
from mlopsproject.core.checks import check_whole
from mlopsproject.core.classes import SEVEN
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.opening import import_folder
from mlopsproject.evaluation.data_report import write_data_report


def data_report(config: DictConfig) -> Path:
    """Write the report as the config says and print where it is."""
    settings = values(config)
    check_whole("seed", settings["seed"], lowest=0)
    name = str(require(settings, "name"))
    output = Path(settings["output"] or Path("reports") / f"data-{name}.html")
    import_folder(name, Path(settings["root"]), InputSpec(size=64), SEVEN)
    report = write_data_report(
        name, output, root=Path(settings["root"]), seed=settings["seed"], command=command_line("data_report")
    )
    Console().print(f"Report: {report}", soft_wrap=True, highlight=False)
    return report


def main() -> None:
    """Run from the command line."""
    run_job("data_report", data_report)


if __name__ == "__main__":
    main()
