"""`python -m deploy.gcp.deploy`: what it shows, what it runs and where it stops."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from deploy.gcp import deploy, requests
from deploy.gcp.messages import HERE, ROOT
from deploy.gcp.steps import STEPS, TRAININGS
from tests.unit.deploy.cloud_files import FILES, message

PLACE = ["--project=acme", "--region=europe-west1", "--tag=abc1234"]


@pytest.fixture(autouse=True)
def _no_google(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this file may reach out, and none hears of the developer's own project."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a client of Google's was asked for")

    monkeypatch.setattr(requests, "client", refuse)
    for name in ("PROJECT", "REGION", "TAG", "BUCKET", "REPOSITORY", "DATA", "API_URL"):
        monkeypatch.delenv(name, raising=False)


class Gcloud:
    """A `gcloud` on the PATH that writes down what it is called with.

    Args:
        folder: of the program.
        missing: what `describe` does not find, as a pattern.
        failing: what fails with exit code 7, as a pattern.
    """

    def __init__(self, folder: Path, missing: str, failing: str) -> None:
        self._calls = folder / "calls"
        program = folder / "gcloud"
        program.write_text(
            "#!/usr/bin/env bash\n"
            f"echo \"$*\" >> '{self._calls}'\n"
            f"[[ $* =~ {failing} ]] && exit 7\n"
            f"[[ $* =~ {missing} ]] && exit 1\n"
            "exit 0\n"
        )
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []


def fake_gcloud(
    monkeypatch: pytest.MonkeyPatch, folder: Path, missing: str = r"\ describe\ ", failing: str = "nothing-fails"
) -> Gcloud:
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Gcloud(folder, missing, failing)


def test_a_dry_run_shows_every_step_in_order_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path)
    assert deploy.main([*PLACE, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^# ([a-z-]+)$", shown, re.MULTILINE) == list(STEPS)
    assert gcloud.calls == []
    assert "gcloud services enable aiplatform.googleapis.com " in shown
    assert "API_URL is `uri` of: GET https://run.googleapis.com/v2/projects/acme/" in shown
    assert "Done" not in shown


def test_a_dry_run_shows_what_every_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    everything = ",".join([*STEPS, *TRAININGS])
    assert deploy.main([*PLACE, "--set=DATA=mine", "--dry-run", f"--only={everything}"]) == 0
    shown = capsys.readouterr().out
    for name in FILES:
        found = message(name)
        identity = f"displayName: {found.display_name}" if name.startswith("vertex/") else f"name: {found.name}"
        assert f"  {identity}\n" in shown
    assert "bucket-lifecycle.json" in shown
    assert "${" not in shown.replace("${API_URL}", "")


def test_a_dry_run_needs_no_gcloud_and_a_real_one_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert deploy.main([*PLACE, "--dry-run", "--only=project"]) == 0
    capsys.readouterr()
    assert deploy.main([*PLACE, "--only=project"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: gcloud is not on the PATH.")
    assert err.count("\n") == 1


def test_a_run_does_the_steps_in_order_whatever_order_they_are_named_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path)
    assert deploy.main([*PLACE, "--only=bucket, project"]) == 0
    assert [call.split()[:3] for call in gcloud.calls] == [
        ["services", "enable", "aiplatform.googleapis.com"],
        ["storage", "buckets", "describe"],
        ["storage", "buckets", "create"],
        ["storage", "buckets", "update"],
    ]
    assert all(call.endswith("--project=acme") for call in gcloud.calls)
    assert capsys.readouterr().out.endswith("Done: project, bucket\n")


def test_what_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path, missing="nothing-is-missing")
    assert deploy.main([*PLACE, "--only=accounts,bucket,database,secrets"]) == 0
    assert len(gcloud.calls) > 10
    assert not [call for call in gcloud.calls if " create " in call]


@pytest.mark.parametrize(
    ("failing", "step", "last"),
    [
        (r"services\ enable", "project", "services enable"),
        (r"buckets\ create", "bucket", "storage buckets create"),
        (r"buckets\ update", "bucket", "storage buckets update"),
    ],
)
def test_a_run_ends_at_the_first_command_that_fails(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    failing: str,
    step: str,
    last: str,
) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path, failing=failing)
    assert deploy.main([*PLACE, "--only=project,bucket,database"]) == 1
    assert gcloud.calls[-1].startswith(last)
    out, err = capsys.readouterr()
    assert err == f"error: The step {step} failed: gcloud ended with exit code 7.\n"
    assert "Done" not in out


def test_a_secret_without_a_value_ends_the_run_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path, failing=r"versions\ describe")
    assert deploy.main([*PLACE, "--only=secrets,roles"]) == 1
    assert "docs/google-cloud.md#secrets" in capsys.readouterr().err
    assert not [call for call in gcloud.calls if "add-iam-policy-binding" in call]


def test_a_missing_variable_is_named_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gcloud = fake_gcloud(monkeypatch, tmp_path)
    assert deploy.main(["--project=acme", "--region=europe-west1", "--only=project,log-migrate"]) == 1
    assert "deploy/gcp/run/log-migrate.yaml needs TAG, which has no value." in capsys.readouterr().err
    assert gcloud.calls == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--region=r", "--tag=t", "--only=api"], "needs PROJECT, which has no value"),
        (["--project=p", "--tag=t", "--only=bucket"], "needs REGION, which has no value"),
        ([*PLACE, "--only=train-gpu"], "deploy/gcp/vertex/train-gpu.yaml needs DATA"),
        ([*PLACE, "--only=fronted"], "'fronted' is no step; did you mean 'frontend'? Steps: project, accounts,"),
        ([*PLACE, "--set=BUCKET"], "--set BUCKET names no variable with a value. Write it as --set NAME=VALUE."),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert deploy.main([*arguments, "--dry-run"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_the_environment_gives_what_the_command_line_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"PROJECT": "theirs", "REGION": "us-east1", "TAG": "t", "BUCKET": "faces"}.items():
        monkeypatch.setenv(name, value)
    assert deploy.main(["--project=acme", "--only=api", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "image: us-east1-docker.pkg.dev/acme/mlopsproject/mlopsproject-api:t" in shown
    assert "value: gs://faces/models" in shown


def test_trainings_start_only_when_they_are_named() -> None:
    assert deploy.choose("") == list(STEPS)
    assert deploy.choose("train-cpu,api") == ["api", "train-cpu"]


def test_every_role_is_granted_by_some_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main([*PLACE, "--only=roles,schedule", "--dry-run"]) == 0
    granted = re.findall(r"add-iam-policy-binding", capsys.readouterr().out)
    assert len(granted) == len(re.findall(r"^ +- \{role: ", (HERE / "accounts.yaml").read_text(), re.MULTILINE))


def test_the_model_that_ships_is_there_to_be_promoted(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main([*PLACE, "--only=model", "--dry-run"]) == 0
    (folder,) = re.findall(r"bundle=(\S+) alias=production", capsys.readouterr().out)
    assert (ROOT / folder / "spec.json").is_file()


def test_invoke_deploy_hands_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("tasks_of_deploy", ROOT / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    seen: list[str] = []
    monkeypatch.setattr(tasks, "_run", lambda _, command: seen.append(command))
    tasks.deploy.body(None, only="api,frontend", project="acme", region="r", tag="t", dry_run=True)
    tasks.deploy.body(None)
    assert [command.partition(" -m ")[2] for command in seen] == [
        "deploy.gcp.deploy --only=api,frontend --project=acme --region=r --tag=t --dry-run",
        "deploy.gcp.deploy",
    ]


@pytest.mark.slow
def test_invoke_deploy_prints_what_it_would_run() -> None:
    done = subprocess.run(
        ["invoke", "deploy", "--dry-run", "--only=project", "--project=acme", "--region=r", "--tag=t"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "# project"
