"""Runs a command of the project as a task: `mlopsproject JOB key=value …`, in the project's own environment.

Settings come from the environment:

- `MLOPSPROJECT_PYTHON`: the interpreter that has the project; by default `.venv/bin/python` of the repository.
- `PIPELINE_FOLDER`: where runs, data sets and bundles go; by default `runs/airflow/pipelines` of the repository.
- `FACES_SOURCE`: the source that `faces_to_production` takes when its form is left as it is.
- `NEW_DATA`: the labelled data set that `drift_watch` learns from when its form is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowException
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout

REPOSITORY = Path(__file__).resolve().parents[3]
PYTHON = os.environ.get("MLOPSPROJECT_PYTHON") or str(REPOSITORY / ".venv/bin/python")
PIPELINE_FOLDER = Path(os.environ.get("PIPELINE_FOLDER") or REPOSITORY / "runs/airflow/pipelines").resolve()
FACES_SOURCE = os.environ.get("FACES_SOURCE", "")
NEW_DATA = os.environ.get("NEW_DATA") or None

#: Of all tasks: a worker may die in any of them.
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=10), "retry_exponential_backoff": True}
#: Exit codes that are not tried again: of an error that the job explains, and of an unknown job.
_FAILED = (1, 2)
#: Variables of Airflow, which the project's commands are not given.
_AIRFLOWS_OWN = re.compile(r"^_?AIRFLOW|^FLOWER|^(PYTHONPATH|PYTHONHOME|VIRTUAL_ENV)$")
#: Secrets, which only commands are given that name them.
_SECRETS = frozenset({"KAGGLE_USERNAME", "KAGGLE_KEY", "DATABASE_URL"})
#: What Hydra would take from the environment, and what ends a line.
_FORBIDDEN = re.compile(r"\$\{|[\x00-\x1f\x7f]")
#: Seconds that a job has to stop by itself.
_STOP_SECONDS = 20


def slug(run_id: str) -> str:
    """A run's id as the name of a folder and of a data set: letters, digits, `.`, `_`, `-`; different for others."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id)
    return plain if plain == run_id else f"{plain[:60]}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


def run_folder(dag_id: str, run_id: str) -> Path:
    """The folder of a DAG run: `PIPELINE_FOLDER/runs/<dag>/<run>`."""
    return PIPELINE_FOLDER / "runs" / dag_id / slug(run_id)


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

    The job's own folder is `<run folder>/<task id>`.

    Args:
        job: such as `import-data`.
        overrides: templates of `key=value`, which count for more than `more`; one that renders to nothing is left out.
        more: template of a JSON list of further overrides, as a person has given them.
        only: those of `more` whose keys begin so; all by default.
        secrets: variables of `_SECRETS` that the job needs.
        verdicts: exit codes other than 0 that are answers, not failures.
        report: the page that the job writes, from the run's folder.

    Returns:
        The exit code.

    Raises:
        AirflowFailException: for an error that trying again does not mend, and when time runs out.
        AirflowException: for one that it may mend: a network, a killed process.
    """

    template_fields: Sequence[str] = ("overrides", "more")
    operator_extra_links = (ReportLink(),)
    ui_color = "#e8f1fb"

    def __init__(
        self,
        *,
        job: str,
        overrides: Sequence[str],
        more: str = "[]",
        only: str = "",
        secrets: Sequence[str] = (),
        verdicts: Sequence[int] = (),
        report: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.job = job
        self.overrides = list(overrides)
        self.more = more
        self.only = only
        self.secrets = tuple(secrets)
        self.verdicts = tuple(verdicts)
        self.report = report
        self._hook: SubprocessHook | None = None

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Run the job."""
        folder = run_folder(context["dag_run"].dag_id, context["dag_run"].run_id)
        folder.mkdir(parents=True, exist_ok=True)
        more = [text for text in json.loads(self.more) if text.lstrip("+~").startswith(self.only)]
        given = [text for text in (*more, *self.overrides) if text]
        for text in given:
            if _FORBIDDEN.search(text):
                raise AirflowFailException(f"{text!r} is not possible: no value may hold ${{ or a control character.")
        code, last = self._run([*given, f"hydra.run.dir={folder / self.task_id}"])
        if code == 0 or code in self.verdicts:
            return code
        kind = AirflowFailException if code in _FAILED else AirflowException
        raise kind(f"mlopsproject {self.job} ended with exit code {code}. {last}".strip())

    def on_kill(self) -> None:
        """Stop the job, when the task is cancelled or its time has run out."""
        process = self._hook.sub_process if self._hook is not None else None
        if process is None or process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def _run(self, overrides: list[str]) -> tuple[int, str]:
        hidden = _SECRETS - set(self.secrets)
        # compose.yaml gives what is not set as empty.
        environment = {
            name: value
            for name, value in os.environ.items()
            if value and name not in hidden and not _AIRFLOWS_OWN.match(name)
        }
        # On Linux the job is told to stop when this process is killed; its retry must not meet it.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        if not Path(PYTHON).is_file():
            raise AirflowFailException(
                f"There is no {PYTHON}. Install the project (uv sync), or set MLOPSPROJECT_PYTHON."
            )
        self._hook = SubprocessHook()
        command = [*bound, PYTHON, "-m", "mlopsproject", self.job, *overrides]
        try:
            done = self._hook.run_command(command, env=environment | {"COLUMNS": "120"}, cwd=str(PIPELINE_FOLDER))
        except AirflowTaskTimeout as error:
            self.on_kill()
            raise AirflowFailException(f"mlopsproject {self.job} took longer than {self.execution_timeout}.") from error
        return done.exit_code, done.output


class Train(ProjectCommand):
    """Train, going on from the checkpoint of an earlier try of the same run.

    Returns:
        The new bundle's folder, which the alias `latest` of the run's own store names.
    """

    def execute(self, context: Mapping[str, Any]) -> str:
        """Run the training."""
        folder = run_folder(context["dag_run"].dag_id, context["dag_run"].run_id)
        begun, store = folder / self.task_id, folder / "models"
        if (begun / "checkpoints/last.ckpt").is_file():
            self.overrides = [*self.overrides, f"resume={begun}"]
        else:
            # Of a try that was killed before its first whole checkpoint.
            shutil.rmtree(begun / "checkpoints", ignore_errors=True)
        super().execute(context)
        return str(store / (store / "aliases/latest").read_text(encoding="utf-8").strip())
