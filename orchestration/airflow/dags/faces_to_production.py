"""From faces to a model in production: ingest, validate, preprocess, train, evaluate, promote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, chain
from project_command import FACES_SOURCE, MACROS, PIPELINE_FOLDER, RETRIES, ProjectCommand, Train

#: Update it, with `{"source": …}` as the event's extra, and a run starts with that source.
NEW_FACES = Asset("new_faces")

TRAINING, LIMITS = "Training", "Limits"
PARAMS = {
    "source": Param(
        FACES_SOURCE,
        type="string",
        minLength=1,
        title="Faces",
        description="a folder, a zip or tar archive or a FER2013 CSV on the workers, or kaggle:owner/slug "
        "(KAGGLE_USERNAME, KAGGLE_KEY); an event of the asset new_faces brings its own",
    ),
    "classes": Param(
        "five",
        enum=["five", "seven"],
        title="Classes",
        description="the same as those of the model that the alias holds",
        section=TRAINING,
    ),
    "epochs": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Epochs",
        description="empty: those of the experiment, 12 without one",
        section=TRAINING,
    ),
    "experiment": Param(
        None,
        type=["null", "string"],
        title="Experiment",
        description="of configs/experiment; bundles that it begins with or learns from are named by folder or address",
        section=TRAINING,
    ),
    "overrides": Param(
        [],
        type="array",
        items={"type": "string"},
        title="More overrides of the training",
        description="key=value, one per line, such as lr=0.05 or data.size=48",
        section=TRAINING,
    ),
    "max_left_out": Param(
        0.2, type="number", minimum=0, maximum=1, title="Unusable files, at most", description="share", section=LIMITS
    ),
    "min_per_class": Param(10, type="integer", minimum=0, title="Images per class and split, at least", section=LIMITS),
    "min_accuracy": Param(0.5, type="number", minimum=0, maximum=1, title="Test accuracy, at least", section=LIMITS),
    "margin": Param(
        0.02,
        type="number",
        minimum=0,
        maximum=1,
        title="Accuracy that may be lost",
        description="against the model that the alias holds; the 95 % interval of the difference counts",
        section=LIMITS,
    ),
    "alias": Param("production", type="string", minLength=1, title="Alias to move"),
    "store": Param(
        str(PIPELINE_FOLDER / "models"),
        type="string",
        minLength=1,
        title="Store",
        description="where the API finds its models: a folder, gs://… or s3://…",
    ),
}


def source_of(params: Mapping[str, Any], events: Mapping[Any, Any] | None) -> str:
    """The faces of a run: of the newest event that started it, else of the form.

    Args:
        params: of the run.
        events: asset to the events that started the run.
    """
    named = [event for found in dict(events or {}).values() for event in found if (event.extra or {}).get("source")]
    return str(max(named, key=lambda event: event.timestamp).extra["source"]) if named else params["source"]


FACES = "faces-{{ slug(run_id) }}"
DATA = [f"data.name={FACES}", "data.root={{ pipeline_folder }}/data"]
FOLDER = "{{ run_folder(dag.dag_id, run_id) }}"
BUNDLE = "bundle={{ ti.xcom_pull(task_ids='train') }}"
MORE = "{{ params.overrides | tojson }}"

with DAG(
    dag_id="faces_to_production",
    description="Faces in, a tested model in production out",
    doc_md=__doc__,
    schedule=[NEW_FACES],
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros={**MACROS, "source_of": source_of},
    default_args=RETRIES,
    tags=["mlopsproject"],
) as dag:
    ingest = ProjectCommand(
        task_id="ingest",
        job="import-data",
        overrides=[
            "source={{ source_of(params, triggering_asset_events) }}",
            f"name={FACES}",
            "root={{ pipeline_folder }}/data",
            "progress=false",
        ],
        secrets=("KAGGLE_USERNAME", "KAGGLE_KEY"),
        execution_timeout=timedelta(hours=6),
        doc_md="Download or open the source, check every file, split; an interrupted import goes on.",
    )
    validate = ProjectCommand(
        task_id="validate",
        job="data-report",
        overrides=[
            f"name={FACES}",
            "root={{ pipeline_folder }}/data",
            f"output={FOLDER}/data_report.html",
            "checks.max_left_out={{ params.max_left_out }}",
            "checks.min_per_class={{ params.min_per_class }}",
        ],
        report="data_report.html",
        execution_timeout=timedelta(hours=1),
        doc_md="Write the data report; data that do not keep their limits stop the run here.",
    )
    preprocess = ProjectCommand(
        task_id="preprocess",
        job="preprocess",
        overrides=[*DATA, "classes={{ params.classes }}"],
        more=MORE,
        only="data.",
        execution_timeout=timedelta(hours=3),
        doc_md="Bring the pictures to the network's input.",
    )
    train = Train(
        task_id="train",
        job="train",
        overrides=[
            "{% if params.experiment %}experiment={{ params.experiment }}{% endif %}",
            "{% if params.epochs %}epochs={{ params.epochs }}{% endif %}",
            "classes={{ params.classes }}",
            *DATA,
            "trainer.progress=false",
            f"store.uri={FOLDER}/models",
            "store.alias=latest",
        ],
        more=MORE,
        report="train/report.html",
        execution_timeout=timedelta(days=2),
        doc_md="Train and export a bundle into the run's own store; a killed training goes on from its checkpoint.",
    )
    evaluate = ProjectCommand(
        task_id="evaluate",
        job="evaluate",
        overrides=[BUNDLE, *DATA],
        report="evaluate/report.html",
        execution_timeout=timedelta(hours=2),
        doc_md="Score the exported bundle, as it will be served, on the test split.",
    )
    promote = ProjectCommand(
        task_id="promote",
        job="promote",
        overrides=[
            BUNDLE,
            "alias={{ params.alias }}",
            "store.uri={{ params.store }}",
            *DATA,
            "gate.min_accuracy={{ params.min_accuracy }}",
            "gate.margin={{ params.margin }}",
        ],
        execution_timeout=timedelta(minutes=30),
        doc_md="Compare with the model in production on the same test images; publish, and move the alias.",
    )
    chain(ingest, validate, preprocess, train, evaluate, promote)
