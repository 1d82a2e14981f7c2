"""Dockerfiles, compose.yaml and the development container: linted, consistent with each other and with the settings."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlopsproject.api.settings import ApiSettings
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.prediction_log.settings import LogSettings

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "dockerfiles").glob("*.dockerfile"))
STAND_INS = sorted((ROOT / "tests/e2e/containers/stand_ins").glob("*.dockerfile"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.stem


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("hadolint")
    return subprocess.run([str(program), str(path)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", [*DOCKERFILES, *STAND_INS], ids=name_of)
def test_hadolint_finds_nothing(path: Path) -> None:
    done = hadolint(path)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /x && sudo ls\n", encoding="utf-8")
    assert hadolint(tmp_path / "Dockerfile").returncode != 0


def test_there_is_an_image_for_each_name_that_is_built() -> None:
    spec = importlib.util.spec_from_file_location("tasks_of_images", ROOT / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    assert sorted(tasks.IMAGES) == [path.stem for path in DOCKERFILES]


def test_the_images_are_made_alike() -> None:
    """What differs is said in each: extras, what is left out, environment, health and entry point."""
    shared = (
        r"^ARG PYTHON=.*$",
        r"^FROM .*$",
        r"^COPY .*$",
        r"^RUN groupadd(?:.*\\\n)*.*$",
        r"^WORKDIR .*$",
        r"^USER .*$",
        r"^VOLUME .*$",
        r"^RUN --mount=type=cache,target=/uv-cache \\\n    uv build(?:.*\\\n)*.*$",
    )
    found = {path.stem: [re.findall(part, path.read_text(), re.MULTILINE) for part in shared] for path in DOCKERFILES}
    assert all(found["api"])
    assert all(parts == found["api"] for parts in found.values())


@pytest.mark.parametrize("path", DOCKERFILES, ids=name_of)
def test_an_image_installs_what_is_locked_and_nothing_of_training_but_for_training(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    extras = re.findall(r"--extra (\S+)", text)
    assert set(extras) <= set(PYPROJECT["project"]["optional-dependencies"])
    assert "uv sync --locked --no-dev --no-install-project" in text
    assert ("train" in extras) == (path.stem == "train")


@pytest.mark.parametrize("path", DOCKERFILES, ids=name_of)
def test_what_is_copied_enters_the_context(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        for source in line.split()[:-1]:
            assert source in allowed
            assert (ROOT / source).exists()


@pytest.mark.parametrize("path", DOCKERFILES, ids=name_of)
def test_services_have_a_health_check_and_jobs_say_that_they_have_none(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ("HEALTHCHECK NONE" in text) == (path.stem in ("train", "evaluate", "drift", "lambda"))
    assert text.count("HEALTHCHECK") == 1


def test_compose_is_valid_and_a_typo_is_not(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("check-jsonschema"))

    def check(path: Path) -> int:
        command = [program, "--builtin-schema", "vendor.compose-spec", str(path)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert check(ROOT / "compose.yaml") == 0
    shutil.copy(ROOT / "compose.yaml", tmp_path / "compose.yaml")
    (tmp_path / "compose.yaml").write_text(
        (ROOT / "compose.yaml").read_text(encoding="utf-8").replace("depends_on:", "depend_on:"), encoding="utf-8"
    )
    assert check(tmp_path / "compose.yaml") != 0


def services() -> dict[str, dict[str, Any]]:
    return dict(COMPOSE["services"])


def test_compose_builds_the_projects_own_images() -> None:
    for name, service in services().items():
        if "build" in service:
            dockerfile = service["build"]["dockerfile"]
            assert (ROOT / dockerfile).is_file(), name
            assert service["image"] == f"mlopsproject-{Path(dockerfile).stem}:${{TAG:-latest}}"
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


def test_compose_publishes_on_this_machine_only() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_sets_variables_that_are_read() -> None:
    known = {name.upper() for name in [*ApiSettings.model_fields, *LogSettings.model_fields]}
    assert set(services()["api"]["environment"]) <= known
    assert set(services()["frontend"]["environment"]) <= {name.upper() for name in FrontendSettings.model_fields}
    assert services()["drift"]["environment"]["DATABASE_URL"] == services()["api"]["environment"]["DATABASE_URL"]


def test_files_that_compose_mounts_exist() -> None:
    mounted = [volume for service in services().values() for volume in service.get("volumes", [])]
    files = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert len(files) == 5
    assert all((ROOT / name).exists() for name in files)


def test_prometheus_of_compose_differs_in_the_address_only() -> None:
    text = (ROOT / "monitoring/prometheus.yml").read_text(encoding="utf-8").replace("localhost:8000", "api:8000")
    other = (ROOT / "monitoring/compose/prometheus.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == yaml.safe_load(other)
    source = (ROOT / "monitoring/grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    other = (ROOT / "monitoring/compose/datasource.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(source.replace("localhost:9090", "prometheus:9090")) == yaml.safe_load(other)


def test_the_development_container_forwards_the_ports_of_the_services() -> None:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert settings["forwardPorts"] == [8000, 8501, 9090, 3000]
    assert "uv sync --locked" in settings["postCreateCommand"]
