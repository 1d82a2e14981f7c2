"""Runs a command of the project as a task: `mlopsproject JOB key=value …`, in the project's own environment.

Settings come from the environment:

- `MLOPSPROJECT_PYTHON`: the interpreter that has the project; by default `.venv/bin/python` of the repository.
- `PIPELINE_FOLDER`: where runs, data sets and bundles go; by default `runs/airflow/pipelines` of the repository.
- `FACES_SOURCE`: the source that `faces_to_production` takes when its form is left as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = os.environ.get("MLOPSPROJECT_PYTHON") or str(REPOSITORY / ".venv/bin/python")
PIPELINE_FOLDER = Path(os.environ.get("PIPELINE_FOLDER") or REPOSITORY / "runs/airflow/pipelines")
FACES_SOURCE = os.environ.get("FACES_SOURCE", "")

#: Exit codes of errors that only a person can put right: one of the job's own, and an unknown job.
_FOR_A_PERSON = (1, 2)
#: Nothing of Airflow's own reaches the project's commands, least of all the password of its database.
_AIRFLOWS_OWN = re.compile(r"^_?AIRFLOW|^(PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|FLOWER_.*)$")


def slug(run_id: str) -> str:
    """A run's id as the name of a folder and of a data set: letters, digits, `.`, `_`, `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id)


def run_folder(context: Mapping[str, Any]) -> Path:
    """The folder of a DAG run: `PIPELINE_FOLDER/runs/<dag>/<run>`."""
    run = context["dag_run"]
    return PIPELINE_FOLDER / "runs" / run.dag_id / slug(run.run_id)


#: What templates of a DAG may use.
MACROS = {"run_folder": run_folder, "slug": slug, "pipeline_folder": str(PIPELINE_FOLDER)}


class ReportLink(BaseOperatorLink):
    """Link to the HTML page that a task has written."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Address of the task's report below `/artefacts`, see `plugins/artefacts.py`; empty if it writes none."""
        report = getattr(operator, "report", "")
        return f"/artefacts/{ti_key.dag_id}/{slug(ti_key.run_id)}/{report}" if report else ""


class ProjectCommand(BaseOperator):
    """Run one job of the project, with its output in the task's log.

    The job's own folder is `<run folder>/<task id>`. What it leaves behind when it is killed is what it goes on from
    when the task is tried again.

    Args:
        job: such as `import-data`.
        overrides: templates of `key=value`; one that renders to several lines is as many overrides, and to nothing
            none.
        verdicts: exit codes other than 0 that are answers, not failures.
        report: the page that the job writes, from the run's folder.

    Returns:
        The exit code.

    Raises:
        AirflowFailException: for an error that trying again cannot mend.
        AirflowException: for one that it may: a network, a killed process.
    """

    template_fields: Sequence[str] = ("overrides",)
    operator_extra_links = (ReportLink(),)
    ui_color = "#e8f1fb"

    def __init__(
        self, *, job: str, overrides: Sequence[str], verdicts: Sequence[int] = (), report: str = "", **options: Any
    ) -> None:
        super().__init__(**options)
        self.job = job
        self.overrides = list(overrides)
        self.verdicts = tuple(verdicts)
        self.report = report
        self._hook: SubprocessHook | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Run the job."""
        folder = run_folder(context)
        folder.mkdir(parents=True, exist_ok=True)
        given = [line.strip() for text in self.overrides for line in str(text).splitlines() if line.strip()]
        code, last = self._run([*given, f"hydra.run.dir={folder / self.task_id}"])
        if code == 0 or code in self.verdicts:
            return code
        kind = AirflowFailException if code in _FOR_A_PERSON else AirflowException
        raise kind(f"mlopsproject {self.job} ended with exit code {code}. {last}".strip())

    def on_kill(self) -> None:
        """Ask the job to stop, when the task is cancelled or runs out of time."""
        if self._hook is not None:
            with suppress(ProcessLookupError):
                self._hook.send_sigterm()

    def _run(self, overrides: list[str]) -> tuple[int, str]:
        # compose.yaml gives what is not set as empty.
        environment = {name: value for name, value in os.environ.items() if value and not _AIRFLOWS_OWN.match(name)}
        command = [PYTHON, "-m", "mlopsproject", self.job, *overrides]
        self._hook = SubprocessHook()
        try:
            done = self._hook.run_command(command, env=environment | {"COLUMNS": "120"}, cwd=str(PIPELINE_FOLDER))
        except FileNotFoundError as error:
            fix = "Install the project (uv sync), or set MLOPSPROJECT_PYTHON."
            raise AirflowFailException(f"There is no {error.filename}. {fix}") from error
        return done.exit_code, done.output


class Train(ProjectCommand):
    """Train, going on from the checkpoint of an earlier try of the same run.

    Returns:
        The new bundle's folder, which the alias `latest` of the run's own store names.
    """

    def execute(self, context: Mapping[str, Any]) -> str:
        """Run the training."""
        folder = run_folder(context)
        begun, store = folder / self.task_id, folder / "models"
        if any((begun / "checkpoints").glob("*.ckpt")):
            self.overrides = [*self.overrides, f"resume={begun}"]
        super().execute(context)
        return str(store / (store / "aliases/latest").read_text(encoding="utf-8").strip())
