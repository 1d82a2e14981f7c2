"""`--help` of a job says what that job takes, and nothing of other jobs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlopsproject.__main__ import JOBS as COMMANDS
from mlopsproject.api.settings import ApiSettings
from mlopsproject.config import load_config, run_job
from mlopsproject.config_help import groups, head, leaves, open_groups, print_help, written
from mlopsproject.frontend.settings import FrontendSettings
from mlopsproject.overrides import choices, config_folder, group_choices
from mlopsproject.prediction_log.settings import LogSettings

JOBS = sorted(path.stem for path in config_folder().glob("*.yaml") if path.stem != "job")
FOLDERS = {path.name for path in config_folder().iterdir() if path.is_dir()}


def help_of(job: str, capsys: pytest.CaptureFixture[str]) -> str:
    print_help(job)
    return capsys.readouterr().out


@pytest.mark.parametrize("job", JOBS)
def test_every_key_of_a_job_is_there_with_its_default(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    # Long ones go on in the next line.
    said = re.sub(r"\s", "", help_of(job, capsys))
    for key in leaves(job):
        assert f"{key}=" in said, key


@pytest.mark.parametrize("job", JOBS)
def test_only_the_groups_of_a_job_are_there(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = set(re.findall(r"^group ([\w.]+)|^(\w+)=NAME, none", help_of(job, capsys), re.MULTILINE))
    named = {closed or open_ for closed, open_ in said}
    assert named == {group.package for group in groups(job)} | set(open_groups(job))
    assert open_groups(job) == (["experiment", "debug"] if job == "train" else [])
    assert {group.name for group in groups(job)} <= FOLDERS


def test_choices_of_a_group_and_experiments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    said = help_of("train", capsys)
    assert "group optim: optim=sgd by default" in said
    assert "  optim=adamw" in said
    for name in choices(config_folder() / "experiment"):
        assert re.search(rf"^  {name}  +\w", said, re.MULTILINE), name


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_asked_for_in_either_way_and_runs_nothing(
    flag: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["promote", "bundle=some", flag])
    with pytest.raises(SystemExit) as left:
        run_job("promote", lambda _: pytest.fail("it ran"))
    assert left.value.code == 0
    assert "usage: " in capsys.readouterr().out
    assert load_config("promote")


@pytest.mark.parametrize("name", [name for name, job in COMMANDS.items() if job.example])
def test_the_example_of_a_job_is_one_that_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    job = COMMANDS[name]
    load_config(job.module, job.example.split())
    assert f"-o {job.example.split()[-1]}" in help_of(job.module, capsys)


def test_piped_help_has_a_key_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_of("train", capsys).splitlines()
    for key, value in leaves("train").items():
        assert any(line.startswith(f"  {key}={written(value)}") for line in lines), key


@pytest.mark.parametrize("file", sorted(path for folder in FOLDERS for path in (config_folder() / folder).rglob("*")))
def test_every_choice_that_is_not_the_default_says_what_it_is(file: Path) -> None:
    taken = {f"{place.partition('@')[0]}/{choice}" for job in JOBS for place, choice in group_choices(job).items()}
    name = file.relative_to(config_folder()).with_suffix("").as_posix()
    assert file.suffix != ".yaml" or name in taken or head(file)


def test_help_comes_before_the_libraries_of_a_job() -> None:
    command = "import runpy, sys; sys.argv = ['mlopsproject', 'export', '--help']\n"
    command += "try:\n    runpy.run_module('mlopsproject', run_name='__main__')\nexcept SystemExit: pass\n"
    command += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "checkpoint=" in done.stdout


@pytest.mark.parametrize("program", ["api", "frontend"])
def test_servers_explain_their_variables_and_take_no_arguments(program: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "mlopsproject", program, "--help"], capture_output=True, text=True, check=True
    ).stdout
    settings = {"api": (ApiSettings, LogSettings), "frontend": (FrontendSettings,)}[program]
    for name in (name for cls in settings for name in cls.model_fields):
        assert re.search(rf"^  {name.upper()}=\S* +\S", shown, re.MULTILINE), name
    refused = subprocess.run(
        [sys.executable, "-m", "mlopsproject", program, "--port", "9"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "unrecognized arguments: --port 9" in refused.stderr


@pytest.mark.parametrize("arguments", [["train", "--help"], ["--help"], ["promote", "--cfg", "job"]])
def test_a_reader_that_stops_gets_no_traceback(arguments: list[str]) -> None:
    job = subprocess.Popen(
        [sys.executable, "-m", "mlopsproject", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    assert job.stderr is not None
    job.stdout.close()
    assert job.stderr.read() == ""
    job.wait()
