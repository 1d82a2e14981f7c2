"""Write a data set's HTML report: `python -m mlopsproject.data_report name=N`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, require, run_job, values
from mlopsproject.core.checks import check_whole
from mlopsproject.core.classes import SEVEN
from mlopsproject.core.errors import DataError
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.opening import import_folder
from mlopsproject.data.quality import check_limits
from mlopsproject.evaluation.data_report import write_data_report


def data_report(config: DictConfig) -> Path:
    """Write the report as the config says and print where it is.

    Raises:
        UserError: a missing or damaged data set, or one that does not keep the limits of `checks`; the report is
            written then, too.
    """
    settings = values(config)
    check_whole("seed", settings["seed"], lowest=0)
    check_limits(settings["checks"])
    name = str(require(settings, "name"))
    output = Path(settings["output"] or Path("reports") / f"data-{name}.html")
    import_folder(name, Path(settings["root"]), InputSpec(size=64), SEVEN)
    failed = write_data_report(
        name,
        output,
        root=Path(settings["root"]),
        seed=settings["seed"],
        command=command_line("data_report"),
        checks=settings["checks"],
    )
    Console().print(f"Report: {output}", soft_wrap=True, highlight=False)
    if failed:
        raise DataError(f"Data set {name!r} is not as it has to be: {' '.join(failed)}", f"Look at {output}.")
    return output


def main() -> None:
    """Run from the command line."""
    run_job("data_report", data_report)


if __name__ == "__main__":
    main()
