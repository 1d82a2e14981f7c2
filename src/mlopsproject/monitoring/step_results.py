"""What the steps of a retraining leave in its folder: a JSON file each, written at once when the step is done."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.errors import ConfigError
from mlopsproject.core.files import atomic_file

#: File with the reason why a step stopped the retraining.
_STOPPED: Final = "stopped.json"


class StepResults:
    """The results of steps in a folder.

    Args:
        folder: of one retraining.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, step: str) -> dict[str, Any] | None:
        """The result of a step; `None` if it is not done."""
        return read_json(self._folder / f"{step}.json") or None

    def of(self, step: str) -> dict[str, Any]:
        """The result of a step that is done."""
        result = self.get(step)
        assert result is not None
        return result

    def write(self, step: str, result: Mapping[str, Any]) -> None:
        """Keep the result of a step, which is done thereby."""
        write_json(self._folder / f"{step}.json", {"step": step, **result})

    def discard(self, *steps: str) -> None:
        """Forget results, so that their steps run again."""
        for step in steps:
            (self._folder / f"{step}.json").unlink(missing_ok=True)

    @property
    def stopped(self) -> str | None:
        """Why the last step stopped the retraining; `None` if it did not."""
        reason: str | None = read_json(self._folder / _STOPPED).get("reason")
        return reason

    @stopped.setter
    def stopped(self, reason: str | None) -> None:
        if reason:
            write_json(self._folder / _STOPPED, {"reason": reason})
        else:
            (self._folder / _STOPPED).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes; the operating system releases the lock when this process ends.

        Raises:
            ConfigError: if another process holds it.
        """
        with (self._folder / "lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(f"Another process is at work in {self._folder}.", "Wait for it.") from None
            yield


def short_hash(document: Any) -> str:
    """The first eight hex digits of the SHA-256 of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:8]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON document; an empty one if there is no such file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document, all of it or nothing."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
