"""The console command: `mlopsproject JOB …` runs `python -m mlopsproject.JOB …` from any folder."""

from __future__ import annotations

import argparse
import runpy
import sys
from dataclasses import dataclass
from typing import Final

from mlopsproject import __version__
from mlopsproject.core.processes import end_at_closed_pipe


@dataclass(frozen=True)
class Job:
    """A job that can be run.

    Attributes:
        module: that runs it, under `mlopsproject`.
        extra: of the package, with what it needs.
        summary: what it does, in a line.
        example: arguments as a person may write them; empty for a job that has no config.
    """

    module: str
    extra: str
    summary: str
    example: str = ""


JOBS: Final = {
    "train": Job(
        "train",
        "train",
        "train a network and ship it as a bundle, with test metrics",
        "data.name=mine epochs=30 model=fine",
    ),
    "export": Job(
        "export",
        "train",
        "make a bundle from a checkpoint of an earlier run, or files for phones from a bundle",
        "checkpoint=latest",
    ),
    "evaluate": Job(
        "evaluate",
        "evaluate",
        "score a bundle on a data set: metrics, plots, HTML report",
        "bundle=production data.name=mine split=test",
    ),
    "compare": Job("compare", "evaluate", "measure bundles side by side", "bundles=[production,sample] data.name=mine"),
    "predict": Job("predict", "data", "score pictures to CSV or Parquet", "input=photos output=expressions.csv"),
    "promote": Job("promote", "data", "test a bundle and point an alias at it", "bundle=latest alias=production"),
    "rollback": Job("rollback", "data", "move an alias back to the bundle it held before", "alias=production"),
    "import-data": Job("import_data", "data", "import faces as a data set", "source=faces.zip name=mine"),
    "preprocess": Job("preprocess", "data", "bring a data set to a network's input", "data.name=mine data.size=48"),
    "data-report": Job("data_report", "evaluate", "write a data set's HTML report", "name=mine"),
    "sample-data": Job("data.synthetic", "data", "render synthetic sample faces into a folder"),
    "drift": Job("drift", "drift", "compare current faces with a bundle's reference", "current=log bundle=production"),
    "retrain": Job(
        "retrain",
        "train,drift",
        "train on new faces after drift or decay; promote if better",
        "new_data=mine alias=production",
    ),
    "api": Job("api", "api", "serve a model over HTTP, with an upload page"),
    "frontend": Job("frontend", "frontend", "serve the page where people upload faces"),
    "log-migrate": Job("log_migrate", "api", "bring the prediction log's database to this version's tables"),
    "log-export": Job(
        "log_export", "drift", "write the prediction log to CSV or Parquet", "output=answers.parquet since=2026-11-01"
    ),
    "log-prune": Job("log_prune", "drift", "delete old rows of the prediction log", "keep_days=90 dry_run=true"),
    "load-test": Job("load_test", "load", "send pictures to an API; answered = logged?", "users=20 seconds=30"),
    "benchmark": Job("benchmark", "train,load,drift", "measure speed, parity or power", "what=serving"),
}


def main() -> int:
    """Run the job that the command line names.

    Returns:
        The exit code: 2 for an unknown job, 1 if a package that the job needs is not installed; jobs leave with their
        own.
    """
    with end_at_closed_pipe():
        options = _parser().parse_args()
        return _run(options.job, options.arguments)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, JOBS))
    parser = argparse.ArgumentParser(
        prog="mlopsproject",
        usage="%(prog)s JOB [key=value ...]",
        description="\n".join(["jobs:", *(f"  {name:<{width}}  {job.summary}" for name, job in JOBS.items())]),
        epilog="`mlopsproject JOB --help` explains one. Jobs write into runs/ and models/ of the working directory.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("job", choices=JOBS, metavar="JOB", help="one of the above")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="key=value", help="what the job takes")
    return parser


def _run(name: str, arguments: list[str]) -> int:
    """Run a job's module as the program, so that processes which it starts find it again."""
    job = JOBS[name]
    sys.argv = [f"mlopsproject {name}", *arguments]
    try:
        if job.example and {"-h", "--help"} & set(arguments):
            # Before the job's own libraries, which take seconds to import.
            from mlopsproject.config_help import print_help

            print_help(job.module)
            return 0
        runpy.run_module(f"mlopsproject.{job.module}", run_name="__main__", alter_sys=True)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "mlopsproject"):
            raise
        fix = f"Install it with: pip install 'mlopsproject[{job.extra}]'"
        sys.stderr.write(f"error: mlopsproject {name} needs the package {missing!r}. {fix}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
