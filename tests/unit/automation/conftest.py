"""Runs the workflows' scripts, with stand-ins for the jobs where a real one would take minutes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs_blocks import ROOT

SCRIPTS = ROOT / ".github/scripts"


class Said:
    """What a script said, and where.

    Attributes:
        code: its exit code.
        text: on both streams.
        outputs: for later steps.
        summary: for the page of the run.
    """

    def __init__(self, done: subprocess.CompletedProcess[str], folder: Path) -> None:
        self.code, self.text = done.returncode, done.stdout + done.stderr
        self.outputs = dict(line.split("=", 1) for line in _read(folder / "output").splitlines())
        self.summary = _read(folder / "summary")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Said]:
    """Run a script in an empty folder: ``run("drift.sh", "current=log", NEW_DATA="faces")``."""

    def start(name: str, *arguments: str, **variables: str) -> Said:
        for leftover in ("output", "summary"):
            (tmp_path / leftover).unlink(missing_ok=True)
        own = {
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            "PYTHON": sys.executable,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
        }
        program = [sys.executable] if name.endswith(".py") else ["bash"]
        command = [*program, str(SCRIPTS / name), *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=own | variables, capture_output=True, text=True, timeout=200, check=False
        )
        return Said(done, tmp_path)

    return start


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., str]:
    """A stand-in for Python that runs a job of this: ``job("print('hello')")``; overrides are in `given`."""

    def write(code: str) -> str:
        body = """
            import json, pathlib, sys
            given = dict(text.split("=", 1) for text in sys.argv[3:])
        """
        program = tmp_path / "stand_in.py"
        program.write_text(f"#!{sys.executable}\n{textwrap.dedent(body)}{textwrap.dedent(code)}", encoding="utf-8")
        program.chmod(0o755)
        return str(program)

    return write
