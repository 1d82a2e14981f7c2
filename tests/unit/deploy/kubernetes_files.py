"""The manifests of deploy/kubernetes/, and questions to a set of them."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[3]
BASE: Final = ROOT / "deploy/kubernetes/base"
OVERLAYS: Final = sorted(path.parent for path in (ROOT / "deploy/kubernetes/overlays").glob("*/kustomization.yaml"))
#: The oldest version of Kubernetes that has all fields by default, and the newest whose schema is there.
VERSIONS: Final = ("1.30", "1.37")
NAME: Final = "app.kubernetes.io/name"

#: The Secret that docs/kubernetes.md#secrets makes for production.
BY_HAND: Final = {"DATABASE_URL": "postgresql://api:pw@db/predictions", "API_KEY": "Zm9yIHRoaXMgZGlnaXRzIG9ubHk"}

Resource = dict[str, Any]


def kustomization(folder: Path) -> Resource:
    """What a folder's kustomization.yaml says."""
    found: Resource = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return found


def documents(path: Path) -> list[Resource]:
    """The manifests of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def raw(folder: Path) -> list[Resource]:
    """The manifests that a kustomization lists, as they are in the files, with its generated ConfigMaps and Secrets."""
    found: list[Resource] = []
    for name in kustomization(folder)["resources"]:
        path = (folder / name).resolve()
        found += raw(path) if path.is_dir() else documents(path)
    for kind in ("ConfigMap", "Secret"):
        for generator in kustomization(folder).get(f"{kind[0].lower()}{kind[1:]}Generator", ()):
            lines = list(generator.get("literals", ()))
            for file in generator.get("envs", ()):
                lines += (folder / file).read_text(encoding="utf-8").splitlines()
            data = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
            if kind == "Secret":
                data = {key: b64encode(value.encode()).decode() for key, value in data.items()}
            same = next((one for one in of(found, kind) if one["metadata"]["name"] == generator["name"]), None)
            if generator.get("behavior") == "merge":
                assert same is not None, f"{folder.name} merges into {generator['name']}, which is not there"
                same["data"] |= data
            else:
                found.append({"kind": kind, "metadata": {"name": generator["name"]}, "data": data})
    return found


def rendered(folder: Path) -> list[Resource]:
    """The manifests that kustomize makes of a folder."""
    kubectl, kustomize = shutil.which("kubectl"), shutil.which("kustomize")
    if kubectl is None and kustomize is None:
        raise RuntimeError(
            "This test needs kubectl (1.32 or newer) or kustomize 5, see docs/kubernetes.md#how-this-was-tested"
        )
    command = [kustomize, "build"] if kustomize else [kubectl, "kustomize"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=120, check=False)  # type: ignore[list-item]
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower(), done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of(resources: list[Resource], *kinds: str) -> list[Resource]:
    """The manifests of these kinds."""
    return [resource for resource in resources if resource["kind"] in kinds]


def pods(resources: list[Resource]) -> Iterator[tuple[str, Resource]]:
    """The template of every pod, with the name of what makes it."""
    for resource in of(resources, "Deployment", "StatefulSet", "Job"):
        yield resource["metadata"]["name"], resource["spec"]["template"]
    for resource in of(resources, "CronJob"):
        yield resource["metadata"]["name"], resource["spec"]["jobTemplate"]["spec"]["template"]


def containers(template: Resource) -> list[Resource]:
    """The containers of a pod, those that run first included."""
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def chosen(resources: list[Resource], selector: Resource) -> list[Resource]:
    """The pods that a selector chooses."""
    labels = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    assert all(expression["operator"] == "In" for expression in expressions)
    return [
        template
        for _, template in pods(resources)
        if labels.items() <= template["metadata"]["labels"].items()
        and all(template["metadata"]["labels"].get(one["key"]) in one["values"] for one in expressions)
    ]


def ports(template: Resource) -> dict[str, int]:
    """The ports of a pod by their names."""
    return {
        port["name"]: port["containerPort"] for container in containers(template) for port in container.get("ports", ())
    }


def environment(container: Resource, resources: list[Resource]) -> dict[str, str]:
    """The variables of a container with their values.

    Raises:
        KeyError: for a ConfigMap, a Secret or a key that is not there.
    """
    data = {("ConfigMap", one["metadata"]["name"]): one["data"] for one in of(resources, "ConfigMap")}
    data["Secret", "mlopsproject"] = BY_HAND
    for one in of(resources, "Secret"):
        decoded = {key: b64decode(value).decode() for key, value in one["data"].items()}
        data["Secret", one["metadata"]["name"]] = decoded
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= data["ConfigMap", source["configMapRef"]["name"]]
    for entry in container.get("env", ()):
        if "value" in entry:
            found[entry["name"]] = entry["value"]
            continue
        ((source, key),) = entry["valueFrom"].items()
        kind = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}[source]
        found[entry["name"]] = data[kind, key["name"]][key["key"]]
    return found
