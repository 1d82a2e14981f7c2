"""The spool of one worker: rows on this machine's disk, from where the drainer takes them."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlopsproject.core.files import is_disk_full
from mlopsproject.prediction_log.errors import LogUnavailable
from mlopsproject.prediction_log.group_writer import Entry
from mlopsproject.prediction_log.segments import SegmentWriter, list_segments, make_folder, new_worker

#: Seconds for which the measured size of the folder is taken to be right, but for what this worker wrote since.
_SIZE_AGE: Final = 1.0
#: Bytes that must fit on the disk again before rows are taken again.
_PROBE_BYTES: Final = 256 * 1024
logger = logging.getLogger(__name__)


class Spool:
    """Writes groups of rows durably into segments; used by one thread.

    Args:
        folder: of the spool, shared by all workers.
        segment_bytes: size at which a segment is closed.
        max_bytes: size of all segments in the folder at which no more rows are taken.
    """

    def __init__(self, folder: Path, segment_bytes: int, max_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._worker = new_worker()
        self._number = 0
        self._segment: SegmentWriter | None = None
        self._folder_bytes = 0
        self._measured_at = float("-inf")

    def keep(self, group: Sequence[Entry]) -> None:
        """Write a group of rows: all of it is on the disk, or nothing.

        Raises:
            LogUnavailable: if it cannot be kept.
        """
        data = b"".join([entry.lines for entry in group])
        try:
            self._check_size(len(data))
            if self._segment is None:
                self._segment = self._next_segment()
            segment = self._segment
            try:
                segment.append(data)
            except OSError:
                self._segment = None
                raise
        except OSError as error:
            raise self._unavailable(error) from error
        self._folder_bytes += len(data)
        if segment.size >= self._segment_bytes:
            self.close()

    def probe(self) -> None:
        """Try whether rows could be kept again.

        Raises:
            LogUnavailable: if they could not.
        """
        self._measured_at = float("-inf")
        try:
            self._check_size(_PROBE_BYTES)
            make_folder(self._folder)
            with tempfile.TemporaryFile(dir=self._folder) as stream:
                stream.write(bytes(_PROBE_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Leave the current segment to the drainer; the next row begins another."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _next_segment(self) -> SegmentWriter:
        while True:
            self._number += 1
            try:
                return SegmentWriter.create(self._folder, self._worker, self._number)
            except FileNotFoundError:
                # The drainer met the file before it was locked and cleared it away; the folder itself is there.
                if not self._folder.is_dir():
                    raise

    def _check_size(self, more: int) -> None:
        now = time.monotonic()
        if now - self._measured_at > _SIZE_AGE:
            self._folder_bytes = sum(segment.size for segment in list_segments(self._folder))
            self._measured_at = now
        if self._folder_bytes + more > self._max_bytes:
            # The drainer deletes no segment that is in use: this one's bytes would count for ever.
            self.close()
            raise LogUnavailable(
                f"The spool {self._folder} holds {self._folder_bytes / 1e6:.1f} MB, its limit is reached.",
                "Bring the database back, or raise LOG_SPOOL_MAX_MB.",
            )

    def _unavailable(self, error: OSError) -> LogUnavailable:
        if is_disk_full(error):
            return LogUnavailable(f"No space left for the spool {self._folder}.", "Free some disk space.")
        return LogUnavailable(f"The spool {self._folder} cannot be written: {error.strerror or error}.")
