"""The manifests of deploy/kubernetes/ as they are in the files: Kubernetes' own schemas, and that they fit together."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from tests.unit.deploy import kubernetes_checks
from tests.unit.deploy.cloud_files import dockerfiles
from tests.unit.deploy.kubernetes_files import BASE, OVERLAYS, ROOT, VERSIONS, documents, kustomization, of, pods, raw

FOLDERS = [BASE, *OVERLAYS]
#: Manifests and not what changes them.
FILES = [
    folder / name for folder in FOLDERS for name in kustomization(folder)["resources"] if (folder / name).is_file()
]
PATCHES = [
    folder / patch["path"]
    for folder in OVERLAYS
    for patch in kustomization(folder).get("patches", ())
    if "path" in patch
]


def by_name(value: Any) -> str:
    return value.relative_to(ROOT / "deploy/kubernetes").as_posix() if isinstance(value, Path) else str(value)


def test_every_file_is_used() -> None:
    found = set((ROOT / "deploy/kubernetes").rglob("*.yaml"))
    assert found == {*FILES, *PATCHES, *(folder / "kustomization.yaml" for folder in FOLDERS)}
    assert set(BASE.glob("*.env")) == {BASE / "api.env", BASE / "frontend.env"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_a_manifest_keeps_the_schema(path: Path, version: str) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_an_unknown_field_is_refused() -> None:
    deployment = documents(BASE / "api.yaml")[0]
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=by_name)
@pytest.mark.parametrize("check", kubernetes_checks.ALL, ids=lambda check: check.__name__)
def test_an_overlay_s_files_fit_together(check: Any, overlay: Path) -> None:
    check(raw(overlay))


BREAK = {
    "selectors_choose_pods": lambda found: of(found, "Service")[0]["spec"]["selector"].update({"tier": "web"}),
    "ports_match": lambda found: of(found, "Service")[0]["spec"]["ports"][0].update({"targetPort": "web"}),
    "settings_exist_and_take_their_values": lambda found: of(found, "ConfigMap")[0]["data"].update({"MODEL_URL": "x"}),
    "the_api_is_found_by_the_frontend": lambda found: of(found, "Service")[0]["metadata"].update({"name": "backend"}),
    "pods_have_no_rights": lambda found: next(pods(found))[1]["spec"]["securityContext"].pop("runAsNonRoot"),
    "volumes_are_mounted": lambda found: next(pods(found))[1]["spec"]["volumes"].pop(),
    "only_what_has_to_talks": lambda found: of(found, "NetworkPolicy")[0]["spec"].update({"policyTypes": ["Ingress"]}),
    "a_rollout_loses_no_request": lambda found: next(pods(found))[1]["spec"].update(
        {"terminationGracePeriodSeconds": 30}
    ),
    "the_database_is_migrated_first": lambda found: next(pods(found))[1]["spec"].pop("initContainers"),
    "drift_is_checked_by_the_model_that_answers": lambda found: of(found, "CronJob")[0]["spec"]["jobTemplate"]["spec"][
        "template"
    ]["spec"]["containers"][0]["args"].pop(),
}


@pytest.mark.parametrize("check", kubernetes_checks.ALL, ids=lambda check: check.__name__)
def test_each_of_these_checks_can_fail(check: Any) -> None:
    broken = copy.deepcopy(raw(OVERLAYS[0]))
    check(broken)
    BREAK[check.__name__](broken)
    with pytest.raises((AssertionError, LookupError)):
        check(broken)


def test_every_image_is_built_here_or_named_in_full() -> None:
    for overlay in OVERLAYS:
        named = {image["name"] for image in kustomization(overlay)["images"]}
        assert {name.removeprefix("mlopsproject-") for name in named} <= dockerfiles()
        used = {
            container["image"]
            for _, template in pods(raw(overlay))
            for container in [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]
        }
        assert {image for image in used if "/" not in image} == named


def test_only_the_local_overlay_has_a_database_without_a_password() -> None:
    for overlay in OVERLAYS:
        trusting = "trust" in str(raw(overlay))
        assert trusting == (overlay.name == "local")
        assert bool(of(raw(overlay), "Secret")) == (overlay.name == "local")
