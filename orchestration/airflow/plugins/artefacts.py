"""Gives out what the pipelines have written (reports, plots, logs) to people who may see the DAG's runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse

REPOSITORY = Path(__file__).resolve().parents[3]
RUNS = Path(os.environ.get("PIPELINE_FOLDER") or REPOSITORY / "runs/airflow/pipelines").resolve() / "runs"
#: A report's own scripts may run, but not as the person who reads it.
HEADERS = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}

app = FastAPI(title="Artefacts of the pipelines")


@app.get("/{dag_id}/{path:path}")
def artefact(
    dag_id: str, path: str, _: Annotated[None, Depends(requires_access_dag("GET", DagAccessEntity.RUN))]
) -> FileResponse:
    """Give out a file of a DAG's runs."""
    folder = (RUNS / dag_id).resolve()
    file = (folder / path).resolve()
    if folder.parent != RUNS or not file.is_relative_to(folder) or not file.is_file():
        raise HTTPException(404, "There is no such file; the task may not have written it.")
    return FileResponse(file, headers=HEADERS)


class ArtefactsPlugin(AirflowPlugin):
    """Adds `/artefacts/<dag>/<run>/<file>` to the API server."""

    name = "artefacts"
    fastapi_apps = [{"app": app, "url_prefix": "/artefacts", "name": "artefacts"}]  # noqa: RUF012 - Airflow's own type
