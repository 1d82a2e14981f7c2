"""The converter's environment: what is said before and after it is installed. uv and the converter are stubs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from mlopsproject.core.errors import UserError
from mlopsproject.training import litert_environment
from mlopsproject.training.litert_environment import FIRST_USE, run_converter

#: Stands for uv: `sync --check` looks for a file that `sync` makes, unless `sync` is to fail.
UV = """#!/bin/sh
case "$*" in
  *--check*) test -e {folder}/installed ;;
  "sync "*) {sync} ;;
  *) echo {python} ;;
esac
"""
CONVERTER = """
import pathlib, sys
import mlopsproject
folder = pathlib.Path(sys.argv[2])
(folder / "model.tflite").write_text(sys.argv[1] + mlopsproject.__version__)
print("converted")
"""
NO_NETWORK = "error: Failed to download `torch==2.15.0`\n  cause: client error (Connect)"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def make_uv(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sync: str = "",
    converter: str = CONVERTER,
    installed: bool = False,
) -> None:
    """Put the stubs in place."""
    (tmp_path / "bin").mkdir()
    done = f"echo Downloading torch '(514.2MiB)' >&2; touch {tmp_path}/installed"
    uv = tmp_path / "bin/uv"
    uv.write_text(UV.format(folder=tmp_path, python=sys.executable, sync=sync or done))
    uv.chmod(0o755)
    if installed:
        (tmp_path / "installed").touch()
    (tmp_path / "converter.py").write_text(converter)
    monkeypatch.setattr(litert_environment, "CONVERTER", tmp_path / "converter.py")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")


def test_before_the_first_use_its_size_is_said_once(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_uv(tmp_path, monkeypatch)
    messages = tmp_path / "run/converter.log"
    with caplog.at_level("INFO", logger="mlopsproject"):
        run_converter(tmp_path / "bundle", files, messages)
        assert caplog.messages[:2] == [FIRST_USE, "Downloading torch (514.2MiB)"]
        assert "2.7 GB" in FIRST_USE
        caplog.clear()
        run_converter(tmp_path / "bundle", files, messages)
    assert caplog.messages == ["Converting bundle: about half a minute"]
    assert (files / "model.tflite").read_text().startswith(str(tmp_path / "bundle"))
    assert [item.name for item in files.iterdir()] == ["model.tflite"]
    assert "converted" in messages.read_text()


def test_without_uv_it_is_named(tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"uv is not on the PATH; .* Run: pip install uv"):
        run_converter(tmp_path / "bundle", files, tmp_path / "log")


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (NO_NETWORK, "could not be installed: no network, or none that reaches the packages"),
        ("error: write failed\n  cause: No space left on device (os error 28)", "no space left on the disk"),
        ("error: No interpreter found", "exit code 2, error: No interpreter found"),
    ],
)
def test_packages_that_cannot_be_installed_are_one_line(
    printed: str, said: str, tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_uv(tmp_path, monkeypatch, sync=f"echo '{printed}' >&2; exit 2")
    with pytest.raises(UserError) as caught:
        run_converter(tmp_path / "bundle", files, tmp_path / "log")
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"Its messages: {tmp_path / 'log'}")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "log").read_text() == printed + "\n"


@pytest.mark.parametrize(
    ("converter", "said"),
    [
        ("raise RuntimeError('no such operation')", "failed: exit code 1, RuntimeError: no such operation"),
        ("raise OSError(28, 'No space left on device')", "failed: no space left on the disk. Free some"),
        (f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})", "failed: ended by SIGKILL. Memory may have run out."),
    ],
)
def test_a_converter_that_fails_is_one_line_that_names_its_messages(
    converter: str, said: str, tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_uv(tmp_path, monkeypatch, converter=converter, installed=True)
    with pytest.raises(UserError) as caught:
        run_converter(tmp_path / "bundle", files, tmp_path / "log")
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"Its messages: {tmp_path / 'log'}")
    assert "\n" not in str(caught.value)


def test_settings_of_uv_for_the_project_do_not_reach_the_converter(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = "import os, pathlib, sys; (pathlib.Path(sys.argv[2]) / 'said').write_text(str(dict(os.environ)))"
    make_uv(tmp_path, monkeypatch, converter=shown, installed=True)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("UV_FROZEN", "1")
    run_converter(tmp_path / "bundle", files, tmp_path / "log")
    said = (files / "said").read_text()
    assert "/elsewhere" not in said
    assert "UV_FROZEN" not in said
