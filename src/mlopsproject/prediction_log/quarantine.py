"""Rows that cannot go into the database: kept aside as they are, so that they stop nobody and can be looked at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlopsproject.core.files import sync
from mlopsproject.prediction_log.segments import make_folder

FOLDER: Final = "quarantine"
logger = logging.getLogger(__name__)


class Quarantine:
    """The folder `quarantine/` of a spool: a file of lines per segment that they came from.

    A file that is moved back into the spool's folder is drained again, once what was wrong is put right.

    Args:
        spool: folder of the spool.
    """

    def __init__(self, spool: Path) -> None:
        self.folder = spool / FOLDER
        self._counted: dict[str, tuple[int, int]] = {}

    def add(self, segment: str, lines: Sequence[bytes], reason: str) -> None:
        """Keep lines aside, durably; those that are there already are not added again.

        Args:
            segment: file name of the segment that they came from.
            lines: without their newlines.
            reason: why, for the log of the process.

        Raises:
            OSError: if they cannot be written.
        """
        make_folder(self.folder)
        # Not the segment's own name: moved back, it must not take the place of what is left of that.
        worker, _, number = segment.partition(".")
        path = self.folder / f"{worker}-again.{number}"
        # The drainer was killed between this and its next step.
        known = set(path.read_bytes().split(b"\n")) if path.exists() else set()
        new = [line for line in dict.fromkeys(lines) if line not in known]
        if not new:
            return
        with path.open("ab") as stream:
            stream.write(b"".join([line + b"\n" for line in new]))
        sync(path)
        sync(self.folder)
        logger.error("%d row(s) of the prediction log moved to %s: %s", len(new), path, reason)

    def count(self) -> int:
        """Rows in quarantine; files are read only when they have changed."""
        counted = {}
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            size = path.stat().st_size
            before = self._counted.get(path.name)
            counted[path.name] = before if before and before[0] == size else (size, path.read_bytes().count(b"\n"))
        self._counted = counted
        return sum(rows for _, rows in counted.values())
