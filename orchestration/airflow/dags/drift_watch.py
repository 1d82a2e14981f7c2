"""Every night: has what the model sees drifted? If so, train on newly labelled faces and promote what is better."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException
from project_command import MACROS, NEW_DATA, PIPELINE_FOLDER, RETRIES, ProjectCommand

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
        NEW_DATA,
        type=["null", "string"],
        title="Labelled faces to learn from",
        description="an imported data set of the data folder; a retraining needs it (NEW_DATA)",
    ),
    "alias": Param("production", type="string", minLength=1, title="Alias"),
    "store": Param(str(PIPELINE_FOLDER / "models"), type="string", minLength=1, title="Store"),
    "data": Param(str(PIPELINE_FOLDER / "data"), type="string", minLength=1, title="Data folder"),
    "overrides": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Overrides of the detection",
        description="key=value, one per line: detect.… and decay.…, such as detect.min_rows=200",
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
    default_args=RETRIES,
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
        ],
        more="{{ params.overrides | tojson }}",
        secrets=("DATABASE_URL",),
        verdicts=(DRIFT, NOT_ENOUGH_DATA),
        report="drift/report.html",
        execution_timeout=timedelta(hours=1),
        doc_md="Compare current faces with what the model was tested on.",
    )

    @task.short_circuit(execution_timeout=timedelta(minutes=5))
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
            "{% if params.current == 'log' %}trigger=log{% endif %}",
            SINCE,
            # One for all nights: what has been tried with these faces and this model is not tried again.
            "runs={{ pipeline_folder }}/retrain",
            *STORE,
        ],
        more="{{ params.overrides | tojson }}",
        secrets=("DATABASE_URL",),
        verdicts=(NOT_ENOUGH_DATA,),
        execution_timeout=timedelta(days=2),
        doc_md="Merge, train, compare with production on the same test images, promote if better; it goes on.",
    )
    has_drifted(drift.output) >> retrain
