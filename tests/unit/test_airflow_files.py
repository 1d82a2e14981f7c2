"""Airflow's files: linted, without secrets, each service with a check, and in step with what the project has."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "orchestration/airflow"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OWN = ("init", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "flower")


def program(name: str, *arguments: str) -> int:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_the_linters_find_nothing() -> None:
    assert program("hadolint", str(FOLDER / "Dockerfile")) == 0
    assert program("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")) == 0


def test_there_is_every_service_that_celery_needs() -> None:
    assert sorted(SERVICES) == sorted(["postgres", "redis", *OWN])
    assert {name: service["command"] for name, service in SERVICES.items() if name in OWN and name != "init"} == {
        "api-server": ["api-server"],
        "scheduler": ["scheduler"],
        "dag-processor": ["dag-processor"],
        "triggerer": ["triggerer"],
        "worker": ["celery", "worker"],
        "flower": ["celery", "flower"],
    }


def test_every_service_but_the_one_that_ends_has_a_health_check() -> None:
    assert [name for name, service in SERVICES.items() if "healthcheck" not in service] == ["init"]


def test_services_start_after_what_they_need() -> None:
    for name in set(OWN) - {"init"}:
        assert SERVICES[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
    assert SERVICES["init"]["depends_on"] == {name: {"condition": "service_healthy"} for name in ("postgres", "redis")}


@pytest.mark.parametrize("name", OWN)
def test_airflows_services_are_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_secret_is_in_the_file_and_none_has_a_default() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", TEXT))
    passwords = {f"{name}_PASSWORD" for name in ("ADMIN", "FLOWER", "POSTGRES", "REDIS")}
    assert asked == {f"AIRFLOW_{name}" for name in passwords | {"FERNET_KEY", "SECRET", "JWT_SECRET"}}
    for name in asked:
        assert f"${{{name}:-" not in TEXT
    secret = re.compile(r"PASSWORD|SECRET|FERNET|AUTH$|_KEY$|URL$|CONN$|BACKEND$")
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if secret.search(key) and "api-server" not in value and "localhost" not in value:
                # Nothing but what is asked for, or empty by default.
                assert re.search(r"\$\{\w+:(\?[^}]*|-)\}", value), key
                assert not re.search(r"\$\{\w+:-[^}]", value), key


def test_the_keys_for_data_reach_the_workers_alone() -> None:
    for name, service in SERVICES.items():
        held = {"KAGGLE_KEY", "KAGGLE_USERNAME", "DATABASE_URL"} & set(service.get("environment", {}))
        assert len(held) == (3 if name == "worker" else 0)


def test_it_listens_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_docs_make_every_secret_that_compose_asks_for() -> None:
    page = (ROOT / "docs/airflow.md").read_text(encoding="utf-8")
    for name in re.findall(r"\$\{(AIRFLOW_\w+):\?", TEXT):
        assert name in page


def test_its_image_has_what_the_dockerfile_copies() -> None:
    ignored = (FOLDER / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for source in re.findall(r"^COPY (?!--from)(\S+) ", (FOLDER / "Dockerfile").read_text(), re.MULTILINE):
        assert source in allowed
        assert (FOLDER / source).exists()


def test_airflow_is_locked_in_the_version_that_is_tested() -> None:
    lock = tomllib.loads((FOLDER / "uv.lock").read_text(encoding="utf-8"))
    versions = {package["name"]: package["version"] for package in lock["package"]}
    assert versions["apache-airflow"].startswith("3.3.")
    assert versions["celery"].startswith("5.6.")
