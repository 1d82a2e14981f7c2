"""What kustomize makes of deploy/kubernetes/overlays/: schemas, and that everything still fits together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from tests.unit.deploy import kubernetes_checks
from tests.unit.deploy.kubernetes_files import (
    OVERLAYS,
    VERSIONS,
    Resource,
    containers,
    kustomization,
    of,
    pods,
    raw,
    rendered,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=OVERLAYS, ids=lambda folder: folder.name)
def overlay(request: pytest.FixtureRequest) -> tuple[Path, list[Resource]]:
    """An overlay's folder and what kustomize makes of it."""
    return request.param, rendered(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_keeps_the_schema(overlay: tuple[Path, list[Resource]], version: str) -> None:
    assert len(overlay[1]) > 15
    for resource in overlay[1]:
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("check", kubernetes_checks.ALL, ids=lambda check: check.__name__)
def test_everything_fits_together(overlay: tuple[Path, list[Resource]], check: Any) -> None:
    check(overlay[1])


def test_nothing_is_lost_and_all_is_in_the_namespace(overlay: tuple[Path, list[Resource]]) -> None:
    folder, found = overlay
    assert sorted(one["kind"] for one in found) == sorted(one["kind"] for one in raw(folder))
    namespace = kustomization(folder)["namespace"]
    assert {one["metadata"]["namespace"] for one in found if one["kind"] != "Namespace"} == {namespace}
    assert [one["metadata"]["name"] for one in of(found, "Namespace")] == [namespace]


def test_images_have_a_tag(overlay: tuple[Path, list[Resource]]) -> None:
    for _, template in pods(overlay[1]):
        for container in containers(template):
            assert ":" in container["image"].rpartition("/")[2], container["image"]


def test_changed_settings_roll_the_pods(overlay: tuple[Path, list[Resource]]) -> None:
    (reference,) = [
        source["configMapRef"]["name"]
        for name, template in pods(overlay[1])
        if name == "api"
        for source in template["spec"]["containers"][0]["envFrom"]
    ]
    assert reference.startswith("api-"), "its name has a hash of its content"


def test_local_pods_share_the_store_and_there_is_one_of_each() -> None:
    (local,) = [folder for folder in OVERLAYS if folder.name == "local"]
    found = rendered(local)
    for name, template in pods(found):
        if name in ("api", "drift"):
            (container,) = template["spec"]["containers"]
            assert {"name": "models", "mountPath": "/data/models"} in container["volumeMounts"]
    (autoscaler,) = of(found, "HorizontalPodAutoscaler")
    assert autoscaler["spec"]["maxReplicas"] == 1
    assert [one["spec"]["replicas"] for one in of(found, "Deployment") if one["metadata"]["name"] == "frontend"] == [1]
