"""The LiteRT converter runs apart: its packages, which the project's own do not go with, are installed on first use."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from mlopsproject.core.errors import UserError, printable

log = logging.getLogger(__name__)

#: The program; its packages are named in its first lines and locked in the file beside it.
CONVERTER: Final = Path(__file__).with_name("litert_converter.py")
FIRST_USE: Final = (
    "First use: installing the LiteRT converter, apart from this project's packages. On Linux it downloads 2.7 GB "
    "(5.1 GB on disk), or 0.2 GB (0.8 GB) where uv has installed this project with PyTorch, whose files it shares."
)
_NO_SPACE: Final = re.compile(r"No space left|os error 28|Disk quota exceeded")
_NO_NETWORK: Final = re.compile(r"Failed to (download|fetch)|error sending request|Network connectivity", re.IGNORECASE)
#: Settings of uv that are meant for the project.
_OF_PROJECT: Final = ("PYTHONPATH", "UV_FROZEN", "UV_NO_SYNC", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")
_LONGEST: Final = 200  # characters of a message
_PACKAGE: Final = Path(__file__).resolve().parents[1]


def run_converter(bundle: Path, folder: Path, messages: Path) -> None:
    """Convert a bundle in the converter's environment, which is made if it is not there.

    Args:
        bundle: its folder.
        folder: with `inputs.npz`; gets what `litert_converter.main` writes.
        messages: file for what uv and the converter print.

    Raises:
        UserError: without uv, its packages or space, or if the converter fails; it names `messages`.
    """
    messages.parent.mkdir(parents=True, exist_ok=True)
    python = _python(messages)
    log.info("Converting %s: about half a minute", bundle.name)
    scratch = folder / "scratch"
    scratch.mkdir()
    # A folder with this package alone: the converter must not find the others beside it.
    (scratch / _PACKAGE.name).symlink_to(_PACKAGE, target_is_directory=True)
    environment = _environment() | {"PYTHONPATH": str(scratch.resolve()), "TMPDIR": str(scratch.resolve())}
    # -P: nor the modules beside the program.
    command = [python, "-P", str(CONVERTER), str(bundle.resolve()), str(folder.resolve())]
    with messages.open("ab") as stream:
        done = subprocess.run(command, env=environment, stdout=stream, stderr=stream, check=False)  # noqa: S603
    shutil.rmtree(scratch)
    if done.returncode:
        said = messages.read_text(encoding="utf-8", errors="replace")
        raise _failure("The LiteRT converter failed", said, done.returncode, messages)


def _python(messages: Path) -> str:
    """The Python of the converter's environment.

    Raises:
        UserError: if it cannot be installed.
    """
    uv = shutil.which("uv")
    if uv is None:
        raise UserError("uv is not on the PATH; it installs the LiteRT converter.", "Run: pip install uv")
    # The same Python as here, whose wheels uv may have already.
    sync = [uv, "sync", "--locked", "--script", str(CONVERTER), "--python", sys.executable]
    if _uv([*sync, "--check"]).returncode:
        log.info("%s", FIRST_USE)
        _install(sync, messages)
    return _uv([uv, "python", "find", "--script", str(CONVERTER)]).stdout.strip()


def _install(sync: list[str], messages: Path) -> None:
    with (
        messages.open("w", encoding="utf-8") as stream,
        subprocess.Popen(  # noqa: S603
            sync, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                stream.write(line)
                if line.strip().startswith("Downloading"):
                    log.info("%s", line.strip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = messages.read_text(encoding="utf-8")
        raise _failure("The LiteRT converter could not be installed", said, process.returncode, messages)


def _failure(what: str, said: str, code: int, messages: Path) -> UserError:
    """What went wrong, in a line, from the messages of uv or the converter."""
    if _NO_SPACE.search(said):
        reason, fix = "no space left on the disk", "Free some and run again."
    elif code < 0:
        reason, fix = f"ended by {signal.Signals(-code).name}", "Memory may have run out."
    elif _NO_NETWORK.search(said):
        reason, fix = "no network, or none that reaches the packages", "Run again with one."
    else:
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "")
        reason, fix = f"exit code {code}, {printable(last.strip())[:_LONGEST]}", ""
    return UserError(f"{what}: {reason}.", f"{fix} Its messages: {messages}".strip())


def _uv(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)  # noqa: S603


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_PROJECT}
