"""The two small records that travel from a source to the workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Literal, NamedTuple

#: A single file beyond this many bytes is listed as `too_large` instead of being read into memory.
MAX_FILE_BYTES = 128 * 1024 * 1024


class Item(NamedTuple):
    """One file (or CSV row) of a source, ready for a worker.

    `payload` is what to decode, `kind` says how: the path of a `file` to read, the `bytes` of one, or the `pixels` of a
    CSV row as text. With `reason` set the file is left out without being decoded. `found` is the label as the source
    has it, by all its names.
    """

    path: str
    label: str = ""
    source_split: str = ""
    payload: bytes | str = b""
    kind: Literal["file", "bytes", "pixels"] = "bytes"
    reason: str = ""
    detail: str = ""
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One file of a folder or archive, before anything is read.

    Attributes:
        path: POSIX path relative to the source, printable.
        size: bytes as stated by the file system or archive.
        stamp: changes when the content does (modification time or CRC).
        open: gives the file's bytes; in a tar stream only until the next entry is taken.
        file: where the file lies on disk, ``None`` inside an archive.
        reason: set when the file cannot be used at all, with `detail`.
    """

    path: str
    size: int
    stamp: str
    open: Callable[[], IO[bytes]]
    file: str | None = None
    reason: str = ""
    detail: str = ""
