"""The files of deploy/gcp/ are messages of Google's, and agree with the project and with one another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.gcp.messages import HERE, ROOT, fill, parse
from deploy.gcp.steps import read_accounts
from google.cloud import run_v2
from google.cloud._storage_v2 import types as storage
from google.protobuf.json_format import MessageToJson
from tests.unit.deploy import cloud_files
from tests.unit.deploy.cloud_files import FILES, JOBS, KNOWN, SERVICES, TRAININGS, message, task

from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.config import load_config
from mlopsproject.core.errors import ConfigError
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.prediction_log.settings import LogSettings

SETTINGS: dict[str, list[Any]] = {
    "api": [ApiSettings, LogSettings],
    "frontend": [FrontendSettings],
    "drift": [LogSettings],
}
SECRETS = {
    "mlopsproject-api-key": "Zm9yIHRoaXMgZGlnaXRzIG9ubHk",
    "mlopsproject-database-url": "postgresql://api:pw@/predictions?host=/cloudsql/acme:europe-west1:mlopsproject",
}


def fields(name: str) -> Any:
    return yaml.safe_load(fill((HERE / name).read_text(encoding="utf-8"), KNOWN, name))


def objects(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all objects in a file, apart from maps whose keys are free."""
    if isinstance(node, dict):
        yield path
        for key, value in node.items():
            if key not in ("labels", "limits", "cleanupPolicies"):
                yield from objects(value, (*path, key))
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from objects(value, (*path, index))  # type: ignore[arg-type]


PLACES = [(name, place) for name in FILES for place in objects(fields(name))]


def test_every_file_has_a_type() -> None:
    found = {path.relative_to(HERE).as_posix() for path in HERE.rglob("*.yaml")}
    assert found == FILES.keys() | {"accounts.yaml"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_message_of_its_type(name: str) -> None:
    assert len(MessageToJson(FILES[name].pb(message(name)))) > 200


@pytest.mark.parametrize(("name", "place"), PLACES, ids=lambda value: str(value)[-60:])
def test_an_unknown_field_is_refused_wherever_it_stands(name: str, place: tuple[Any, ...]) -> None:
    changed = fields(name)
    node = changed
    for key in place:
        node = node[key]
    node["timeOut"] = "60s"
    with pytest.raises(ConfigError, match=f"{name} is no google.*timeOut"):
        parse(changed, FILES[name], name)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("run/api.yaml", "timeout: 75s", "timeout: soon"),
        ("run/api.yaml", "maxInstanceCount: 3", "maxInstanceCount: many"),
        ("run/api.yaml", "EXECUTION_ENVIRONMENT_GEN2", "GEN2"),
        ("schedule.yaml", "httpMethod: POST", "httpMethod: SEND"),
        ("registry.yaml", "olderThan: 2592000s", "olderThan: 30 days"),
    ],
)
def test_a_value_that_the_type_cannot_have_is_refused(name: str, old: str, new: str) -> None:
    text = (HERE / name).read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(ConfigError):
        parse(yaml.safe_load(fill(text.replace(old, new), KNOWN, name)), FILES[name], name)


def test_the_buckets_rules_are_google_s_and_no_others() -> None:
    rules = json.loads((HERE / "bucket-lifecycle.json").read_text(encoding="utf-8"))
    # The file is for the JSON API, the type of the other one: they differ in this one name.
    renamed = json.loads(json.dumps(rules).replace('"age"', '"ageDays"'))
    lifecycle = parse(renamed, storage.Bucket.Lifecycle, "bucket-lifecycle.json")
    assert [rule.action.type_ for rule in lifecycle.rule] == ["Delete"] * len(rules["rule"])
    # Bundles and data are never deleted: each rule is of a folder, or of what was replaced.
    assert all(rule.condition.matches_prefix or rule.condition.num_newer_versions for rule in lifecycle.rule)
    with pytest.raises(ConfigError, match="age"):
        parse(rules, storage.Bucket.Lifecycle, "bucket-lifecycle.json")


OWN = re.compile(r"projects/\w+|gs://\w+|pkg\.dev/\w+|@[\w-]+\.iam\.gserviceaccount|\b\d{12}\b")


def test_no_file_names_a_project_a_bucket_or_a_registry_of_its_own() -> None:
    found = {where: OWN.findall(text) for where, text in cloud_files.shipped_texts()}
    assert len(found) > 20
    assert {where: names for where, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text", ["projects/acme/x", "gs://faces", "eu-docker.pkg.dev/acme", "a@acme.iam.gserviceaccount"]
)
def test_a_name_of_one_s_own_would_be_found(text: str) -> None:
    assert OWN.search(text)


@pytest.mark.parametrize("name", FILES)
def test_every_image_that_is_named_can_be_built(name: str) -> None:
    named = cloud_files.images(MessageToJson(FILES[name].pb(message(name))))
    assert named <= cloud_files.dockerfiles()
    assert named or name in ("registry.yaml", "schedule.yaml")


@pytest.mark.parametrize("name", [*SERVICES, *JOBS])
def test_the_settings_take_every_variable_that_is_set(name: str) -> None:
    (container,) = task(name).containers
    (image,) = cloud_files.images(container.image)
    given = {entry.name: entry.value or SECRETS[entry.value_source.secret_key_ref.secret] for entry in container.env}
    kinds = SETTINGS[image]
    known = {field.upper() for kind in kinds for field in kind.model_fields}
    assert given
    assert given.keys() <= known
    for kind in kinds:
        kind(_env_file=None, **{key.lower(): value for key, value in given.items() if key.lower() in kind.model_fields})


@pytest.mark.parametrize("name", [*SERVICES, *JOBS])
def test_an_account_may_do_what_its_container_needs_and_no_more(name: str) -> None:
    template = task(name)
    (container,) = template.containers
    account = template.service_account.removesuffix("@acme.iam.gserviceaccount.com")
    granted = {grant["at"] for grant in read_accounts()[account]["roles"]}
    needed = {
        f"secret {entry.value_source.secret_key_ref.secret}"
        for entry in container.env
        if entry.value_source.secret_key_ref.secret
    }
    needed |= {"project"} if any(volume.cloud_sql_instance.instances for volume in template.volumes) else set()
    needed |= {"bucket"} if "gs://acme-mlopsproject" in str(container) else set()
    assert granted == needed
    assert [mount.name for mount in container.volume_mounts] == [volume.name for volume in template.volumes]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_runs_as_its_own_account(name: str) -> None:
    assert message(name).job_spec.service_account == "mlopsproject-train@acme.iam.gserviceaccount.com"


def test_no_account_gets_a_role_of_many_rights() -> None:
    for name, account in read_accounts().items():
        assert len(name) <= 30, "Google's limit"
        for grant in account["roles"]:
            assert re.fullmatch(r"roles/[a-z]+\.[A-Za-z]+", grant["role"]), "neither owner nor editor"
            assert not grant["role"].lower().endswith("admin")


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_s_arguments_are_config_keys_and_count_its_machines(name: str) -> None:
    pools = message(name).job_spec.worker_pool_specs
    for pool in pools:
        trainer = load_config("train", list(pool.container_spec.args)).trainer
        assert trainer.num_nodes == sum(other.replica_count for other in pools)
        assert trainer.devices == max(1, pool.machine_spec.accelerator_count)
        assert (trainer.accelerator == "gpu") == bool(pool.machine_spec.accelerator_count)


def test_the_drift_job_s_arguments_are_config_keys() -> None:
    (container,) = task("run/drift.yaml").containers
    config = load_config("drift", list(container.args))
    (api,) = task("run/api.yaml").containers
    served = {entry.name: entry.value for entry in api.env}
    assert (config.bundle, config.store.uri) == (served["MODEL_URI"], served["MODEL_STORE"])


def test_the_schedule_starts_the_drift_job() -> None:
    assert message("schedule.yaml").http_target.uri.removeprefix("https://run.googleapis.com/v2/") == (
        message("run/drift.yaml").name + ":run"
    )
    account = message("schedule.yaml").http_target.oauth_token.service_account_email.partition("@")[0]
    assert read_accounts()[account]["roles"] == [{"role": "roles/run.invoker", "at": "job mlopsproject-drift"}]


def test_the_api_stops_before_cloud_run_kills_it() -> None:
    (container,) = task("run/api.yaml").containers
    seconds = next(float(entry.value) for entry in container.env if entry.name == "SHUTDOWN_TIMEOUT_SECONDS")
    assert 2 * seconds < 10, "requests have it once, and then the log"


def test_cloud_run_starts_another_instance_before_the_api_refuses() -> None:
    template = task("run/api.yaml")
    defaults = ApiSettings(_env_file=None)  # type: ignore[call-arg]
    assert template.max_instance_request_concurrency < defaults.max_waiting
    assert template.timeout.total_seconds() > 2 * defaults.request_timeout_seconds


def test_probes_ask_for_routes_of_the_api(tmp_path: Path) -> None:
    app = create_app(ApiSettings(_env_file=None), LogSettings(_env_file=None, data_dir=tmp_path, log_durability="off"))  # type: ignore[call-arg]
    routes = app.openapi()["paths"].keys()
    (container,) = task("run/api.yaml").containers
    probes = (container.startup_probe, container.liveness_probe)
    assert {probe.http_get.path for probe in probes} == {"/ready", "/health"} <= routes
    assert all(probe.http_get.port == container.ports[0].container_port for probe in probes)


def test_all_traffic_goes_to_the_newest_revision() -> None:
    latest = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
    for name in SERVICES:
        assert [(target.type_, target.percent) for target in message(name).traffic] == [(latest, 100)]


def test_the_address_of_the_database_that_the_page_shows_leads_to_cloud_sql() -> None:
    page = (ROOT / "docs/google-cloud.md").read_text(encoding="utf-8")
    (address,) = re.findall(r'DATABASE_URL="(postgresql://[^"]+)"', page)
    filled = address.replace("$PASSWORD", "s3cr3t").replace("$PROJECT", "acme").replace("$REGION", "europe-west1")
    url = LogSettings(_env_file=None, database_url=filled).url  # type: ignore[call-arg]
    (volume,) = task("run/api.yaml").volumes
    assert url.query["host"] == f"/cloudsql/{volume.cloud_sql_instance.instances[0]}"
    assert (url.username, url.database, url.host) == ("api", "predictions", None)
