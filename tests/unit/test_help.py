"""`--help` of a job says what that job takes, and nothing of other jobs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mlopsproject.config import load_config, run_job
from mlopsproject.config_help import groups, leaves, open_groups, print_help
from mlopsproject.overrides import choices, config_folder

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
