"""What holds for any set of manifests that is applied together, as files or as kustomize makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.unit.deploy.kubernetes_files import (
    NAME,
    Resource,
    chosen,
    containers,
    environment,
    of,
    pods,
    ports,
)

from mlopsproject.api.settings import ApiSettings
from mlopsproject.config import load_config
from mlopsproject.core.errors import ConfigError
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.prediction_log.settings import LogSettings

#: By container.
SETTINGS: Final[dict[str, tuple[Any, ...]]] = {
    "api": (ApiSettings, LogSettings),
    "frontend": (FrontendSettings,),
    "log-migrate": (LogSettings,),
    "drift": (LogSettings,),
}
#: Of the drift job's container, for its arguments.
ARGUMENTS: Final = {"MODEL_URI", "MODEL_STORE"}


def selectors_choose_pods(resources: list[Resource]) -> None:
    """Whatever names pods by their labels finds some, and a Deployment its own."""
    for resource in of(resources, "Deployment", "StatefulSet"):
        assert chosen(resources, resource["spec"]["selector"]) == [resource["spec"]["template"]]
    for resource in of(resources, "Service"):
        assert len(chosen(resources, {"matchLabels": resource["spec"]["selector"]})) == 1
    for resource in of(resources, "PodDisruptionBudget"):
        assert chosen(resources, resource["spec"]["selector"])
    for resource in of(resources, "HorizontalPodAutoscaler"):
        target = resource["spec"]["scaleTargetRef"]
        (scaled,) = [one for one in of(resources, target["kind"]) if one["metadata"]["name"] == target["name"]]
        assert "replicas" not in scaled["spec"], "applying it again would undo the autoscaler's work"
    for resource in of(resources, "NetworkPolicy"):
        assert chosen(resources, resource["spec"]["podSelector"])


def ports_match(resources: list[Resource]) -> None:
    """Services and probes name ports that the pods have, and policies their numbers."""
    for resource in of(resources, "Service"):
        (template,) = chosen(resources, {"matchLabels": resource["spec"]["selector"]})
        for port in resource["spec"]["ports"]:
            assert ports(template)[port["targetPort"]] == port["port"]
    for _, template in pods(resources):
        for container in containers(template):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in ports(template)
    for resource in of(resources, "NetworkPolicy"):
        for rule in resource["spec"].get("ingress", ()):
            open_ports = {
                number
                for template in chosen(resources, resource["spec"]["podSelector"])
                for number in ports(template).values()
            }
            assert {port["port"] for port in rule["ports"]} <= open_ports


def settings_exist_and_take_their_values(resources: list[Resource]) -> None:
    """Every variable is a setting of its program, with a value that this takes."""
    for name, template in pods(resources):
        if name == "postgres":
            continue
        for container in containers(template):
            given = environment(container, resources)
            kinds = SETTINGS[container["name"]]
            known = {field.upper() for kind in kinds for field in kind.model_fields}
            extra = ARGUMENTS if container["name"] == "drift" else set()
            assert given.keys() - known == extra
            for kind in kinds:
                own = {key.lower(): value for key, value in given.items() if key.lower() in kind.model_fields and value}
                kind(_env_file=None, **own)


def the_api_is_found_by_the_frontend(resources: list[Resource]) -> None:
    """The frontend's address is that of the API's Service, and the database's one that policies let through."""
    (frontend,) = [template for name, template in pods(resources) if name == "frontend"]
    address = environment(frontend["spec"]["containers"][0], resources)["BACKEND"]
    services = {
        f"http://{one['metadata']['name']}:{one['spec']['ports'][0]['port']}": one for one in of(resources, "Service")
    }
    assert services[address]["spec"]["selector"] == {NAME: "api"}


def pods_have_no_rights(resources: list[Resource]) -> None:
    """As the restricted Pod Security Standard has it, and a file system that nobody writes."""
    for _, template in pods(resources):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "it would set FRONTEND_PORT"
        assert spec["serviceAccountName"] in {one["metadata"]["name"] for one in of(resources, "ServiceAccount")}
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def volumes_are_mounted(resources: list[Resource]) -> None:
    """What is mounted is there, and ours have a writable /data and /tmp."""
    claims = {one["metadata"]["name"] for one in of(resources, "PersistentVolumeClaim")}
    own = {
        one["metadata"]["name"]: {claim["metadata"]["name"] for claim in one["spec"]["volumeClaimTemplates"]}
        for one in of(resources, "StatefulSet")
    }
    for name, template in pods(resources):
        volumes = template["spec"].get("volumes", [])
        assert {
            one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one
        } <= claims
        there = {one["name"] for one in volumes} | own.get(name, set())
        for container in containers(template):
            mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounted.values()) <= there
            assert name == "postgres" or {"/data", "/tmp"} <= mounted.keys()


def only_what_has_to_talks(resources: list[Resource]) -> None:
    """Everything is closed by default; the API is open to the frontend and Prometheus, the database to its clients."""
    policies = {one["metadata"]["name"]: one["spec"] for one in of(resources, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(set(spec["policyTypes"]) <= {"Ingress", "Egress"} for spec in policies.values())
    (rule,) = policies["to-api"]["ingress"]
    sources = [source["podSelector"]["matchLabels"][NAME] for source in rule["from"]]
    assert sources == ["frontend", "prometheus"]
    clients = {
        template["metadata"]["labels"][NAME] for template in chosen(resources, policies["to-postgres"]["podSelector"])
    }
    needing = {
        template["metadata"]["labels"][NAME]
        for _, template in pods(resources)
        if any(
            entry["name"] == "DATABASE_URL" for container in containers(template) for entry in container.get("env", ())
        )
    }
    assert clients == needing
    (internet,) = policies["to-internet"]["egress"]
    assert "169.254.0.0/16" in internet["to"][0]["ipBlock"]["except"], "a cloud's metadata service"


def a_rollout_loses_no_request(resources: list[Resource]) -> None:
    """A new pod is there before an old one goes, and that one has the time it needs."""
    for resource in of(resources, "Deployment"):
        assert resource["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        spec = resource["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["readinessProbe"]
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pause > 0
        if container["name"] == "api":
            timeout = float(environment(container, resources)["SHUTDOWN_TIMEOUT_SECONDS"])
            assert pause + 2 * timeout < spec["terminationGracePeriodSeconds"]


def the_database_is_migrated_first(resources: list[Resource]) -> None:
    """By the API's own image, with the API's own database; rows are kept there and not on a pod's disk."""
    (api,) = [template for name, template in pods(resources) if name == "api"]
    (first,) = api["spec"]["initContainers"]
    (container,) = api["spec"]["containers"]
    assert first["command"] == ["python", "-m", "mlopsproject.log_migrate"]
    assert first["image"] == container["image"]
    given = environment(container, resources)
    assert given["DATABASE_URL"] == environment(first, resources)["DATABASE_URL"]
    assert given["LOG_DURABILITY"] == "database"


def drift_is_checked_by_the_model_that_answers(resources: list[Resource]) -> None:
    """The job takes the API's model, store and database, and its exit codes 3 and 4 are no reason to try again."""
    (job,) = of(resources, "CronJob")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given = environment(container, resources)
    arguments = [argument.replace("$(", "{").replace(")", "}").format(**given) for argument in container["args"]]
    try:
        config = load_config("drift", arguments)
    except ConfigError as error:
        raise AssertionError(f"the arguments are no config keys: {error}") from error
    (api,) = [template for name, template in pods(resources) if name == "api"]
    served = environment(api["spec"]["containers"][0], resources)
    assert (config.current, config.bundle) == ("log", served["MODEL_URI"])
    assert config.store.uri == served["MODEL_STORE"]
    assert "$(MODEL_STORE)" in str(container["args"])
    (rule,) = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"containerName": "drift", "operator": "In", "values": [3, 4]}


ALL: Final[tuple[Callable[[list[Resource]], None], ...]] = (
    selectors_choose_pods,
    ports_match,
    settings_exist_and_take_their_values,
    the_api_is_found_by_the_frontend,
    pods_have_no_rights,
    volumes_are_mounted,
    only_what_has_to_talks,
    a_rollout_loses_no_request,
    the_database_is_migrated_first,
    drift_is_checked_by_the_model_that_answers,
)
