"""GitHub's files: pinned, with least rights and time limits; what they name exists, and zizmor finds nothing."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs_blocks import ROOT
from tests.unit.test_docs_name_what_exists import task_parser

from mlopsproject.config import load_config
from mlopsproject.overrides import quoted

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
SETUP = GITHUB / "actions/setup/action.yml"
SCRIPTS = sorted((GITHUB / "scripts").glob("*.sh"))
PAGE = (ROOT / "docs/automation.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for true.
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in document.items()}


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return dict(read(path)["jobs"])


def steps(path: Path) -> Iterator[dict[str, Any]]:
    """Every step of a workflow, or of a composite action."""
    document = read(path)
    for job in document["jobs"].values() if "jobs" in document else [document["runs"]]:
        yield from job.get("steps", [])


def commands(path: Path) -> Iterator[list[str]]:
    """The words of every command that a workflow's steps run."""
    for step in steps(path):
        for line in step.get("run", "").replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def words_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def in_each(*paths: Path) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=named)


@in_each(*WORKFLOWS, SETUP)
def test_every_action_is_pinned_by_commit_beside_its_version(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", words_of(path), re.MULTILINE)
    assert len(used) == sum("uses" in step for step in steps(path)) + sum(
        "uses" in job for job in read(path).get("jobs", {}).values()
    )
    for action in used:
        if action.startswith("./"):
            assert any((ROOT / action / name).is_file() for name in ("", "action.yml")), action
        else:
            assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_is_the_same_one_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, SETUP):
        for owner, pin in re.findall(r"uses: ([\w.-]+/[\w.-]+)[\w/.-]*@(.+)", words_of(path)):
            pins.setdefault(owner, set()).add(pin)
    assert {owner: pin for owner, pin in pins.items() if len(pin) > 1} == {}
    assert len({pin.split()[0] for found in pins.values() for pin in found}) == len(pins)


@in_each(*WORKFLOWS)
def test_rights_are_granted_job_by_job(path: Path) -> None:
    assert read(path)["permissions"] == {}
    for name, job in jobs(path).items():
        assert job["permissions"], name
        assert "write-all" not in str(job["permissions"]), name


@in_each(*WORKFLOWS)
def test_nothing_runs_forever_and_nothing_twice_at_once(path: Path) -> None:
    assert "group" in read(path)["concurrency"]
    for name, job in jobs(path).items():
        assert "uses" in job or job["timeout-minutes"] <= 350, name


@in_each(*WORKFLOWS)
def test_a_checkout_leaves_no_credentials_behind(path: Path) -> None:
    found = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in found)


@in_each(*WORKFLOWS)
def test_no_expression_is_pasted_into_a_shell(path: Path) -> None:
    assert not any("${{" in step.get("run", "") for step in steps(path))


@in_each(*WORKFLOWS, SETUP)
def test_tasks_scripts_and_overrides_that_are_run_exist(path: Path) -> None:
    for words in commands(path):
        if "invoke" in words:
            (context,) = [
                one for one in task_parser().parse_argv(words[words.index("invoke") + 1 :]) if one.name is not None
            ]
            if "override" in context.args:
                check_overrides(str(context.name).replace("-", "_"), list(context.args["override"].value or []))
        if ".github/scripts/drift.sh" in words:
            check_overrides("drift", given(words))
        for word in words:
            if word.startswith((".github/", "models", "dockerfiles/")):
                assert (ROOT / word).exists(), word


@in_each(*SCRIPTS)
def test_jobs_that_scripts_run_take_these_overrides(path: Path) -> None:
    text = words_of(path).replace("\\\n", " ")
    shared = re.findall(r"^overrides=\((.*)\)$", text, re.MULTILINE)
    for job, rest in re.findall(r'"\$python" -m mlopsproject\.(\w+)(.*)$', text, re.MULTILINE):
        assert (ROOT / f"src/mlopsproject/{job}.py").is_file(), job
        check_overrides(job, given(shlex.split(" ".join([re.split("[>|]", rest)[0], *shared]))))


def given(words: list[str]) -> list[str]:
    """The overrides among words, but for Hydra's own."""
    return [word for word in words if re.match(r"(?!hydra\.)[a-z_.]+=", word)]


def check_overrides(job: str, overrides: list[str]) -> None:
    """Compose a job's config; what the shell would fill in is a 1, which is a name and a number."""
    load_config(job, [quoted(re.sub(r"\$\{?\w+\}?", "1", text)) for text in overrides])


def test_scripts_are_programs_but_for_the_one_that_others_read() -> None:
    assert [path.name for path in SCRIPTS if not path.stat().st_mode & 0o100] == ["github.sh"]


@in_each(*WORKFLOWS)
def test_packages_that_are_asked_for_exist(path: Path) -> None:
    known = {*PYPROJECT["project"]["optional-dependencies"]}
    asked = [
        str(step.get("with", {}).get("packages", "")) for step in steps(path) if step.get("uses", "").endswith("/setup")
    ]
    assert {extra for text in asked for extra in re.findall(r"--extra (\S+)", text)} <= known


@in_each(*WORKFLOWS)
def test_outputs_that_are_read_are_written(path: Path) -> None:
    by_scripts = {
        name for script in SCRIPTS for name in re.findall(r"^\s*output (\w+)", words_of(script), re.MULTILINE)
    }
    for job in jobs(path).values():
        known = {step["id"]: step for step in job.get("steps", []) if "id" in step}
        for name, output in re.findall(r"steps\.([\w-]+)\.outputs\.(\w+)", str(job)):
            run = known[name].get("run")
            assert run is None or output in by_scripts or f'echo "{output}=' in run, f"{name}.{output}"


def test_the_tests_run_on_several_systems_and_pythons_and_on_the_one_that_is_named() -> None:
    job = jobs(GITHUB / "workflows/tests.yml")["fast"]
    matrix = job["strategy"]["matrix"]
    assert len(matrix["os"]) > 1
    assert len(matrix["python"]) > 1
    assert {system.partition("-")[0] for system in [*matrix["os"], *(one["os"] for one in matrix["include"])]} == {
        "ubuntu",
        "macos",
        "windows",
    }
    lowest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert min(matrix["python"], key=lambda version: [*map(int, version.split("."))]) == lowest
    assert job["runs-on"] == "${{ matrix.os }}"
    (setup,) = [step for step in job["steps"] if step.get("uses", "").endswith("/setup")]
    assert setup["with"]["python"] == "${{ matrix.python }}"
    (uv, _, check) = steps(SETUP)
    assert uv["with"]["python-version"] == "${{ inputs.python }}"
    assert check["env"] == {"PYTHON": "${{ inputs.python }}"}
    assert "uv run --no-sync python --version" in check["run"]


def test_uv_is_the_one_of_the_images() -> None:
    (uv, *_) = steps(SETUP)
    dockerfiles = "".join(words_of(path) for path in (ROOT / "dockerfiles").glob("*.dockerfile"))
    assert set(re.findall(r"ghcr\.io/astral-sh/uv:(\S+)", dockerfiles)) == {uv["with"]["version"]}


def test_every_image_is_built_and_published() -> None:
    images = {path.stem for path in (ROOT / "dockerfiles").glob("*.dockerfile")}
    for name, job in jobs(GITHUB / "workflows/images.yml").items():
        assert set(job["strategy"]["matrix"]["image"]) == images, name


def test_every_alias_has_bounds() -> None:
    bounds = jobs(GITHUB / "workflows/model.yml")["check"]["strategy"]["matrix"]["include"]
    # Not the folder: whoever has trained has `latest` in it.
    shipped = re.findall(r"^!/models/aliases/(.+)$", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(one["alias"] for one in bounds) == sorted(shipped)
    assert all((ROOT / f"{one['data']}.dvc").is_file() for one in bounds if one["data"])


def test_the_page_names_every_workflow_variable_secret_and_label() -> None:
    text = "".join(map(words_of, WORKFLOWS))
    table = PAGE.partition("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {path.stem for path in WORKFLOWS}
    settings = PAGE.partition("## Settings")[2].partition("## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`.*?`) \|", settings, re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert documented == set(re.findall(r"(?:vars|secrets)\.(\w+)", text))
    assert set(re.findall(r"labels\.\*\.name, '([^']+)'", text)) == set(re.findall(r"label `([^`]+)`", PAGE))


def test_dependabot_watches_all_that_is_pinned() -> None:
    watched = {entry["package-ecosystem"]: entry for entry in read(GITHUB / "dependabot.yml")["updates"]}
    there = {
        "uv": "uv.lock",
        "pip": ".github/requirements.txt",
        "github-actions": ".github/workflows",
        "docker": "dockerfiles",
        "docker-compose": "compose.yaml",
        "npm": "examples/web/package-lock.json",
        "devcontainers": ".devcontainer",
    }
    assert set(watched) == {name for name, place in there.items() if (ROOT / place).exists()}
    assert all(entry["cooldown"]["default-days"] >= 7 for entry in watched.values())


def test_linters_find_nothing() -> None:
    """hadolint, zizmor without the net, JSON schemas; also shellcheck and actionlint, where they are installed."""
    programs = Path(sys.executable).parent
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, str(GITHUB / "scripts/lint_files.sh")],
        env={"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
