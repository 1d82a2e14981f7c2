"""cloudbuild.yaml: a build of Google's, whose steps come in an order in which nothing untested gets out."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.gcp.deploy import choose
from deploy.gcp.messages import ROOT, parse
from google.cloud.devtools.cloudbuild_v1 import Build
from google.cloud.devtools.cloudbuild_v1.types import BuildOptions
from tests.unit.deploy.cloud_files import dockerfiles

from mlopsproject.core.errors import ConfigError

FILE = ROOT / "cloudbuild.yaml"
#: What Cloud Build fills in by itself.
BUILT_IN = {"PROJECT_ID", "SHORT_SHA"}


def content() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def build() -> Any:
    return parse(content(), Build, "cloudbuild.yaml")


def before(steps: list[Any], wanted: str) -> set[str]:
    """The steps that have ended when one begins: those it waits for, and those that they waited for."""
    order = [step.id for step in steps]
    step = steps[order.index(wanted)]
    if list(step.wait_for) == ["-"]:
        return set()
    waited = list(step.wait_for) or order[: order.index(wanted)]
    return {found for name in waited for found in {name} | before(steps, name)}


def pushes(steps: list[Any]) -> list[str]:
    return [step.id for step in steps if "push" in step.args or "--push" in " ".join(step.args)]


def test_it_is_a_build() -> None:
    found = build()
    assert found.options.logging == BuildOptions.LoggingMode.CLOUD_LOGGING_ONLY
    assert found.service_account.endswith("/${_SERVICE_ACCOUNT}")
    assert found.timeout.total_seconds() >= 3600


def test_its_schema_is_kept() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.cloudbuild", str(FILE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("place", ["build", "step", "options"])
def test_an_unknown_field_is_refused(place: str) -> None:
    changed = content()
    node = {"build": changed, "step": changed["steps"][0], "options": changed["options"]}[place]
    node["wait_until"] = ["test"]
    with pytest.raises(ConfigError, match="wait_until"):
        parse(changed, Build, "cloudbuild.yaml")


def test_all_images_are_built_at_once_and_pushed_under_the_commit_and_as_latest() -> None:
    steps = {step.id: step for step in build().steps}
    for name in dockerfiles():
        assert list(steps[f"build-{name}"].wait_for) == ["-"]
        assert list(steps[f"build-{name}"].args) == ["deploy/gcp/build_image.sh", name, "${_IMAGES}", "$SHORT_SHA"]
        assert list(steps[f"push-{name}"].args) == ["push", "--all-tags", f"${{_IMAGES}}/mlopsproject-{name}"]


def test_nothing_is_pushed_before_the_tests_have_passed() -> None:
    found = build()
    assert not found.images, "these would be pushed after the deployment"
    assert sorted(pushes(list(found.steps))) == sorted(f"push-{name}" for name in dockerfiles())
    for name in dockerfiles():
        assert before(list(found.steps), f"push-{name}") == {"test", f"build-{name}"}
    assert before(list(found.steps), "deploy") >= {"test", "push-api", "push-frontend", "push-drift"}
    (tests,) = [step for step in found.steps if step.id == "test"]
    assert "uv sync --locked" in tests.args[-1]
    assert "invoke test" in tests.args[-1]
    assert not [step.id for step in found.steps if step.allow_failure or step.allow_exit_codes]


def test_a_push_that_does_not_wait_for_the_tests_would_be_seen() -> None:
    changed = copy.deepcopy(content())
    (push,) = [step for step in changed["steps"] if step["id"] == "push-api"]
    push["waitFor"] = ["build-api"]
    assert "test" not in before(list(parse(changed, Build, "cloudbuild.yaml").steps), "push-api")


def test_every_substitution_is_declared_and_used() -> None:
    text = FILE.read_text(encoding="utf-8")
    used = {name for pair in re.findall(r"\$\{(\w+)\}|\$([A-Z_]+)", re.sub("#.*", "", text)) for name in pair if name}
    assert used == content()["substitutions"].keys() | BUILT_IN


def run_deploy_step(folder: Path, wanted: str) -> str:
    """What the step `deploy` prints with a program `uv` that only repeats its arguments."""
    (step,) = [step for step in build().steps if step.id == "deploy"]
    values = {
        "_DEPLOY": wanted,
        "_REGION": "r",
        "_BUCKET": "b",
        "_REPOSITORY": "i",
        "PROJECT_ID": "p",
        "SHORT_SHA": "t",
    }
    script = re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], step.args[1])
    (folder / "uv").write_text('#!/bin/sh\necho "$@"\n')
    (folder / "uv").chmod(0o755)
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    done = subprocess.run(
        [step.entrypoint, step.args[0], script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_it_rolls_out_only_when_it_is_told_to(tmp_path: Path) -> None:
    assert content()["substitutions"]["_DEPLOY"] == "false"
    assert run_deploy_step(tmp_path, "false") == "_DEPLOY is false: nothing is rolled out.\n"
    arguments = run_deploy_step(tmp_path, "true").split()
    assert arguments[:6] == ["run", "--no-sync", "python", "-m", "deploy.gcp.deploy", "--project=p"]
    (only,) = [word.removeprefix("--only=") for word in arguments if word.startswith("--only=")]
    assert choose(only) == ["log-migrate", "api", "frontend", "drift"], "the database first"


@pytest.mark.parametrize("name", sorted(dockerfiles()))
def test_an_image_is_built_on_the_layers_of_its_last_build(tmp_path: Path, name: str) -> None:
    (tmp_path / "docker").write_text(f'#!/bin/sh\necho "$DOCKER_BUILDKIT $@" >> {tmp_path}/calls\n')
    (tmp_path / "docker").chmod(0o755)
    script = ROOT / "deploy/gcp/build_image.sh"
    assert os.access(script, os.X_OK)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", script, name, "r/p/i", "abc1234"], cwd=ROOT, env=environment, timeout=60, check=True)
    packages, image = (tmp_path / "calls").read_text().splitlines()
    for call in (packages, image):
        assert call.startswith(f"1 build --file dockerfiles/{name}.dockerfile --build-arg BUILDKIT_INLINE_CACHE=1 ")
        assert f"--cache-from r/p/i/mlopsproject-{name}:packages --cache-from r/p/i/mlopsproject-{name}:latest" in call
    assert f"--target packages --tag r/p/i/mlopsproject-{name}:packages " in packages
    assert f"--tag r/p/i/mlopsproject-{name}:abc1234 --tag r/p/i/mlopsproject-{name}:latest ." in image
    dockerfile = (ROOT / f"dockerfiles/{name}.dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM \S+ AS packages$", dockerfile, re.MULTILINE)
    assert re.search(r"^ARG REVISION", dockerfile, re.MULTILINE)


def test_a_build_that_fails_is_not_followed_by_another(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho called >> {tmp_path}/calls\nexit 4\n")
    (tmp_path / "docker").chmod(0o755)
    command = ["bash", "deploy/gcp/build_image.sh", "api", "r", "t"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=False)
    assert done.returncode == 4
    assert (tmp_path / "calls").read_text() == "called\n"
