"""Every night: has what the model sees drifted? If so, train on newly labelled faces and promote what is better."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException
from project_command import MACROS, PIPELINE_FOLDER, ProjectCommand

DRIFT, NOT_ENOUGH_DATA = 3, 4
PARAMS = {
    "current": Param(
        "log",
        type="string",
        minLength=1,
        title="What is watched",
        description="log (the prediction log of DATABASE_URL), dataset:NAME or a folder of pictures",
    ),
    "since": Param("1d", type=["null", "string"], title="Since", description="of the log: 1d, 12h or a moment"),
    "new_data": Param(
        None,
        type=["null", "string"],
        title="Labelled faces to learn from",
        description="an imported data set of the data folder; a retraining needs it",
    ),
    "alias": Param("production", type="string", minLength=1, title="Alias"),
    "store": Param(str(PIPELINE_FOLDER / "models"), type="string", minLength=1, title="Store"),
    "data": Param(str(PIPELINE_FOLDER / "data"), type="string", minLength=1, title="Data folder"),
    "overrides": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Limits of the detection",
        description="key=value of drift, one in each line, such as detect.min_rows=200",
    ),
}

STORE = ["store.uri={{ params.store }}", "data.root={{ params.data }}", "progress=false"]
SINCE = "{% if params.current == 'log' and params.since %}since={{ params.since }}{% endif %}"

with DAG(
    dag_id="drift_watch",
    description="Nightly drift check; retraining on its verdict",
    doc_md=__doc__,
    schedule="0 3 * * *",
    is_paused_upon_creation=True,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=MACROS,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "retry_exponential_backoff": True},
    tags=["mlopsproject"],
) as dag:
    drift = ProjectCommand(
        task_id="drift",
        job="drift",
        overrides=[
            "bundle={{ params.alias }}",
            "current={{ params.current }}",
            SINCE,
            *STORE,
            "{{ params.overrides | join('\n') }}",
        ],
        verdicts=(DRIFT, NOT_ENOUGH_DATA),
        report="drift/report.html",
        execution_timeout=timedelta(hours=1),
        doc_md="Compare current faces with what the model was tested on.",
    )

    @task.short_circuit
    def has_drifted(verdict: int, params: dict) -> bool:
        """Whether to go on, by the drift job's exit code; drift without faces to learn from needs a person."""
        if verdict == DRIFT and not params["new_data"]:
            raise AirflowFailException("There is drift, and new_data names no labelled faces to learn from.")
        return verdict == DRIFT

    retrain = ProjectCommand(
        task_id="retrain",
        job="retrain",
        overrides=[
            "new_data={{ params.new_data }}",
            "alias={{ params.alias }}",
            # The verdict is known.
            "force=true",
            "runs={{ run_folder({'dag_run': dag_run}) }}/steps",
            *STORE,
        ],
        execution_timeout=timedelta(days=2),
        doc_md="Merge, train, compare with production on the same test images, promote if better; it goes on.",
    )
    has_drifted(drift.output) >> retrain
