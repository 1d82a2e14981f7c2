"""The DAGs: what they are made of, and whole runs on the sample faces in one process (`airflow dags test`)."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tests.e2e.airflow.airflow import DAG, ROOT, TASKS, light, run

from mlopsproject.__main__ import JOBS
from mlopsproject.config import load_config
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store
from mlopsproject.data.importer import import_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: Seconds that the sample pipeline may take in one process.
MOST_SECONDS = 300
DESCRIBE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({"errors": bag.import_errors, "dags": {name: {
    "params": dag.params.dump(), "tasks": {task.task_id: {
        "job": getattr(task, "job", None), "overrides": getattr(task, "overrides", []), "retries": task.retries,
        "timeout": task.execution_timeout and task.execution_timeout.total_seconds(), "doc": task.doc_md,
        "next": sorted(task.downstream_task_ids)} for task in dag.tasks}} for name, dag in bag.dags.items()}}))
"""


@pytest.fixture(scope="module")
def airflow(python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    command, settings = light(python, tmp_path_factory.mktemp("airflow"))
    migrated = run(command, settings, "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    return command, settings


@pytest.fixture(scope="module")
def dags(python: Path, airflow: tuple[list[str], dict[str, str]]) -> dict[str, Any]:
    home = airflow[0][airflow[0].index("--home") + 1]
    script = [str(python), "-c", DESCRIBE, str(ROOT / "orchestration/airflow/dags")]
    settings = {**airflow[1], "AIRFLOW_HOME": home, "FACES_SOURCE": "faces"}
    settings["PYTHONPATH"] = str(ROOT / "orchestration/airflow/dags")
    described = run(script, settings)
    assert described.returncode == 0, described.stderr
    found: dict[str, Any] = json.loads(described.stdout.splitlines()[-1])
    assert found["errors"] == {}
    return found["dags"]  # type: ignore[no-any-return]


def test_there_are_two_and_the_pipeline_has_its_steps_in_order(dags: dict[str, Any]) -> None:
    assert sorted(dags) == ["drift_watch", DAG]
    tasks = dags[DAG]["tasks"]
    assert list(tasks) == TASKS
    assert [tasks[name]["next"] for name in TASKS] == [*([following] for following in TASKS[1:]), []]
    assert dags["drift_watch"]["tasks"]["drift"]["next"] == ["has_drifted"]
    assert dags["drift_watch"]["tasks"]["has_drifted"]["next"] == ["retrain"]


def test_every_command_is_one_of_the_projects_with_keys_that_it_has(dags: dict[str, Any]) -> None:
    commands = [task for dag in dags.values() for task in dag["tasks"].values() if task["job"]]
    assert len(commands) == len(TASKS) + 2
    for task in commands:
        config = load_config(JOBS[task["job"]].module)
        plain = [re.sub(r"\{%.*?%\}", "", text) for text in task["overrides"]]
        keys = [text.partition("=")[0] for text in plain if re.match(r"[a-z_.]+=", text)]
        assert keys
        for key in set(keys) - {"experiment"}:
            assert key in _keys(config), f"{task['job']} {key}"


def _keys(config: Any) -> set[str]:
    found: set[str] = set()
    for key, value in OmegaConf.to_container(config).items():  # type: ignore[union-attr]
        found |= {str(key)} | ({f"{key}.{inner}" for inner in value} if isinstance(value, dict) else set())
    return found


def test_every_command_has_retries_a_time_limit_and_words(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag["tasks"].values():
            assert task["retries"] >= 1
            assert task["timeout"] >= 60
            assert task["doc"] or not task["job"]


def test_sample_faces_become_a_model_in_production(airflow: tuple[list[str], dict[str, str]]) -> None:
    started = time.monotonic()
    done = run(*airflow, "dags", "test", DAG)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout[-3000:]
    pipelines = Path(airflow[1]["PIPELINE_FOLDER"])
    (folder,) = (pipelines / "runs" / DAG).iterdir()
    for report in ("data_report.html", "train/report.html", "evaluate/report.html", "evaluate/metrics.json"):
        assert (folder / report).stat().st_size > 1000
    promoted = Store(pipelines / "models").get_alias("production")
    assert promoted == Store(folder / "models").get_alias("latest")
    assert seconds <= MOST_SECONDS


@pytest.mark.parametrize(
    ("conf", "failing", "says"),
    [
        ({"min_per_class": 5000}, "validate", "at least 5,000 are needed (checks.min_per_class)"),
        ({"source": "broken.zip"}, "ingest", "is cut off or damaged"),
        ({"source": "nowhere"}, "ingest", "nowhere"),
        ({"epochs": 1, "min_accuracy": 1.0}, "promote", "100 % is the least (gate.min_accuracy)"),
        ({"overrides": ["lr=fast"], "epochs": 1}, "train", "lr"),
        ({"source": "${oc.env:HOME}"}, "ingest", "no value may hold ${ or a control character"),
        ({"alias": "a\nb", "epochs": 1}, "promote", "no value may hold ${ or a control character"),
    ],
)
def test_what_is_wrong_stops_the_run_there_at_once_and_moves_no_alias(
    airflow: tuple[list[str], dict[str, str]], conf: dict[str, Any], failing: str, says: str, tmp_path: Path
) -> None:
    settings = airflow[1] | {"PIPELINE_FOLDER": str(tmp_path)}
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(500))
    done = run(airflow[0], settings, "dags", "test", DAG, "--conf", json.dumps(conf))
    assert done.returncode != 0
    assert says in done.stdout
    begun = re.findall(r"\[DAG TEST\] starting task_id=(\w+)", done.stdout)
    # Nothing that only a person can mend is tried again.
    assert begun == TASKS[: TASKS.index(failing) + 1]
    assert "Traceback" not in "".join(re.findall(r"subprocess.*", done.stdout))
    assert not (tmp_path / "models").exists()


def test_an_experiment_and_overrides_shape_the_training_but_not_where_it_goes(
    airflow: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    # The experiment names an alias of its own.
    conf = {"experiment": "sample", "epochs": 1, "min_accuracy": 0, "overrides": ["lr=0.02", f"store.uri={tmp_path}/x"]}
    done = run(
        airflow[0], airflow[1] | {"PIPELINE_FOLDER": str(tmp_path)}, "dags", "test", DAG, "--conf", json.dumps(conf)
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert Store(tmp_path / "models").get_alias("production").startswith("sample-")
    assert not (tmp_path / "x").exists()


def test_commands_get_the_secrets_that_they_need_and_none_of_airflows(
    airflow: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\nenv > {tmp_path}/$3.env\nexit 3\n")
    stub.chmod(0o755)
    secrets = {"KAGGLE_KEY": "k", "DATABASE_URL": "d", "AIRFLOW__API_AUTH__JWT_SECRET": "j", "FLOWER_PASSWORD": "f"}
    settings = airflow[1] | secrets | {"MLOPSPROJECT_PYTHON": str(stub), "PIPELINE_FOLDER": str(tmp_path / "p")}
    run(airflow[0], settings, "dags", "test", DAG)
    run(airflow[0], settings, "dags", "test", "drift_watch")
    given = {job: (tmp_path / f"{job}.env").read_text().splitlines() for job in ("import-data", "drift")}
    assert [line for line in given["import-data"] if line.partition("=")[0] in secrets] == ["KAGGLE_KEY=k"]
    assert [line for line in given["drift"] if line.partition("=")[0] in secrets] == ["DATABASE_URL=d"]
    assert not [line for lines in given.values() for line in lines if line.startswith("AIRFLOW")]


def test_an_empty_source_is_refused_before_anything_runs(airflow: tuple[list[str], dict[str, str]]) -> None:
    done = run(airflow[0], airflow[1] | {"FACES_SOURCE": ""}, "dags", "test", DAG)
    assert done.returncode != 0
    assert "source" in done.stdout + done.stderr
    assert "starting task_id" not in done.stdout


def test_drift_leads_to_a_candidate_that_is_compared_with_production(
    airflow: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    sample = resolve_bundle("sample", ROOT / "models")
    shutil.copytree(sample.path, tmp_path / "models" / sample.name)
    Store(tmp_path / "models").set_alias("live", sample.name)
    for name in ("train_data", "drift_data"):
        import_dataset(ROOT / name, name, root=tmp_path / "data", progress=False)
    conf = {"current": "dataset:drift_data", "new_data": "drift_data", "alias": "live"}
    conf |= {"store": str(tmp_path / "models"), "data": str(tmp_path / "data")}
    settings = airflow[1] | {"PIPELINE_FOLDER": str(tmp_path / "pipelines")}
    done = run(airflow[0], settings, "dags", "test", "drift_watch", "--conf", json.dumps(conf))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Drift: drift" in done.stdout
    (compared,) = (tmp_path / "pipelines/retrain").rglob("comparison.json")
    decision = json.loads(compared.read_text())
    assert decision["production"] == sample.name
    now = Store(tmp_path / "models").get_alias("live")
    assert now == (decision["candidate"] if decision["better"] else sample.name)
