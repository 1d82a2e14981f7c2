"""Every gcloud command, of the program and of the page, is one that gcloud knows: it checks them itself, offline."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from deploy.gcp import deploy
from deploy.gcp.messages import ROOT
from deploy.gcp.steps import STEPS

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/google-cloud.md"


def refused(commands: list[str], folder: Path) -> dict[str, str]:
    """The commands that gcloud does not take, with what it says about them."""
    if shutil.which("gcloud") is None:
        raise RuntimeError("This test needs gcloud: install the Google Cloud CLI (google-cloud-cli)")
    file = folder / "commands.json"
    file.write_text(json.dumps([{"command_string": command} for command in commands]))
    done = subprocess.run(
        ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"],
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
    )
    answers = json.loads(done.stdout)
    assert len(answers) == len(commands)
    return {
        command: answer["error_message"]
        for command, answer in zip(commands, answers, strict=True)
        if not answer["success"]
    }


def test_gcloud_takes_every_command_of_a_deployment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["--project=acme", "--region=europe-west1", "--tag=abc1234", "--dry-run"]) == 0
    shown = [command for line in capsys.readouterr().out.splitlines() for command in line.split(" || ")]
    commands = [command for command in shown if command.startswith("gcloud ")]
    assert len(commands) > len(STEPS)
    assert refused(commands, tmp_path) == {}


def test_gcloud_takes_every_command_of_the_page(tmp_path: Path) -> None:
    text = re.sub(r"\$([A-Z_]+)", lambda found: found[1].lower(), PAGE.read_text(encoding="utf-8"))
    blocks = re.findall(r"^```bash[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    commands = [part for line in lines for part in re.split(r" [|&]+ ", line) if part.startswith("gcloud ")]
    plain = [shlex.join(shlex.split(command, comments=True)) for command in commands]
    assert len(plain) > 10
    assert refused(plain, tmp_path) == {}


def test_a_flag_that_gcloud_does_not_know_would_be_seen(tmp_path: Path) -> None:
    command = "gcloud storage buckets create gs://acme --no-such-flag"
    assert "--no-such-flag" in refused([command], tmp_path)[command]
