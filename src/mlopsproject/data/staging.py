"""Where an import works until it is complete: append-only files in a hidden folder, resumable at any point."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import pyarrow as pa

from mlopsproject.core.errors import DataError, printable
from mlopsproject.data.arrow import arrow_array
from mlopsproject.data.cache import HEADER_BYTES
from mlopsproject.data.examine import Examined, Row

_STATE: Final = "state.json"
_LOCK: Final = "lock"
PIXELS: Final = "pixels.npy"
THUMBNAILS: Final = "thumbnails.bin"
ROWS: Final = "rows.arrow"
EXCLUDED: Final = "excluded.csv"
_FILES: Final = (PIXELS, THUMBNAILS, ROWS, EXCLUDED)
#: Seconds of work that a crash can cost.
_SAVE_EVERY: Final = 2.0

ROW_SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("source_split", pa.string()),
        ("pixel_hash", pa.binary(16)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("perceptual_hash", pa.uint64()),
        ("mirrored_hash", pa.uint64()),
    ]
)


class _Progress(NamedTuple):
    """How far an import has come: what was counted, and how long each file was then."""

    chunks: int
    rows: int
    excluded: int
    sizes: dict[str, int]


class Staging:
    """The unfinished files of one import.

    Args:
        folder: the hidden folder beside the data set to be.
        key: describes source and options; work under another key is thrown away.

    Raises:
        DataError: another import of the same name is running.
    """

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder = folder
        self._key = key
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock(folder)
        self._files: dict[str, IO[bytes]] = {}
        self._progress = self._resume()
        self._saved_chunks = self.chunks
        self._saved_at = time.monotonic()

    @property
    def chunks(self) -> int:
        """Chunks that are stored whole."""
        return self._progress.chunks

    @property
    def rows(self) -> int:
        """Usable pictures so far."""
        return self._progress.rows

    @property
    def files(self) -> int:
        """Files and CSV rows accounted for so far."""
        return self._progress.rows + self._progress.excluded

    def append(self, examined: Examined) -> None:
        """Add one chunk's outcome; every now and then make it durable."""
        columns: list[Any] = list(zip(*examined.rows, strict=True)) or [[]] * len(Row._fields)
        arrays = [*columns, examined.perceptual, examined.mirrored]
        batch = pa.record_batch(
            [arrow_array(values, field.type) for values, field in zip(arrays, ROW_SCHEMA, strict=True)],
            schema=ROW_SCHEMA,
        )
        self._files[ROWS].write(batch.serialize())
        self._files[PIXELS].write(examined.inputs.data)
        self._files[THUMBNAILS].write(examined.thumbnails.data)
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(map(printable, line) for line in examined.excluded)
        self._files[EXCLUDED].write(text.getvalue().encode())
        before = self._progress
        # In one step, and last: Ctrl-C may come between any two, and a half-appended chunk must not count.
        self._progress = _Progress(
            before.chunks + 1,
            before.rows + len(examined.rows),
            before.excluded + len(examined.excluded),
            {name: file.tell() for name, file in self._files.items()},
        )
        if time.monotonic() - self._saved_at > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Make every whole chunk appended so far durable, so that a later run continues after it."""
        progress = self._progress
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        state = {"key": self._key, **progress._asdict()}
        part = self.folder / (_STATE + ".part")
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(self.folder / _STATE)
        self._saved_chunks = progress.chunks
        self._saved_at = time.monotonic()

    def row_batches(self) -> Iterator[pa.RecordBatch]:
        """Read back the rows, chunk by chunk."""
        with pa.OSFile(str(self.folder / ROWS), "rb") as file:
            for _ in range(self.chunks):
                yield pa.ipc.read_record_batch(pa.ipc.read_message(file), ROW_SCHEMA)

    def close(self) -> None:
        """Close the files and let the lock go; what was saved stays."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # a full disk fails again on the last flush
                file.close()
        self._lock.close()

    def discard(self) -> None:
        """Close and delete everything."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> None:
        """Close; keep what was saved for the next run, or leave nothing behind if that is nothing."""
        if self._saved_chunks:
            self.close()
        else:
            self.discard()

    def _resume(self) -> _Progress:
        """Open the files where the last saved chunk ends; whatever was written after it is cut off."""
        progress = self._read_state() or _Progress(0, 0, 0, dict.fromkeys(_FILES, 0))
        sizes = progress.sizes
        for name in _FILES:
            if not sizes[name]:
                # Never emptied in place: after a crash in the last step it may be a link to a data set's cache.
                (self.folder / name).unlink(missing_ok=True)
            file = (self.folder / name).open("ab")
            file.truncate(sizes[name])
            file.seek(0, os.SEEK_END)
            self._files[name] = file
        if not sizes[PIXELS]:
            self._files[PIXELS].write(bytes(HEADER_BYTES))
        if not sizes[EXCLUDED]:
            self._files[EXCLUDED].write(b"path,reason,detail\n")
        return progress._replace(sizes={name: file.tell() for name, file in self._files.items()})

    def _read_state(self) -> _Progress | None:
        """Read what the last run saved, if it was the same import and its files are still there."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            on_disk = {name: (self.folder / name).stat().st_size for name in _FILES}
            if state["key"] == self._key and all(on_disk[name] >= state["sizes"][name] for name in _FILES):
                return _Progress(**{name: state[name] for name in _Progress._fields})
        return None


def lock(folder: Path) -> IO[str]:
    """Take a staging folder for oneself until the file that comes back is closed.

    Raises:
        DataError: another import has it.
    """
    held = (folder / _LOCK).open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise DataError(f"Another import is writing {folder}.", "Wait for it, or choose another name.") from None
    return held


def disk_full(folder: Path, detail: str = "") -> DataError:
    """Build the error for a full disk."""
    return DataError(
        f"No space left on the disk of {folder.resolve()}{detail}.", "Free some, or set root= to another disk."
    )
