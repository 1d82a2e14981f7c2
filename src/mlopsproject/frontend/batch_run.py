"""Many pictures through the API: in small requests, so that progress shows and one bad file costs no other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from mlopsproject.core.schemas import BatchEntry, PredictResponse
from mlopsproject.frontend.client import ApiClient, ApiError

#: Most pictures, and bytes, of one request; a larger picture goes alone.
_FILES, _BYTES = 8, 4_000_000
#: How often a request is sent while the service is busy, and the longest pause between two tries, in seconds.
_TRIES: Final = 5
_LONGEST_PAUSE: Final = 10.0


class Upload(Protocol):
    """A file as Streamlit keeps it."""

    @property
    def name(self) -> str:
        """As it is called on the person's machine."""

    @property
    def size(self) -> int:
        """In bytes."""

    def getvalue(self) -> bytes:
        """Its bytes."""


@dataclass(frozen=True)
class FileRow:
    """What became of one file.

    Attributes:
        file: its name.
        result: the answer, of the picture's largest face.
        reason: why there is none.
        again: whether the same file may be answered later.
        thumbnail: a `data:` URL; empty for a file that cannot be shown.
    """

    file: str
    result: PredictResponse | None = None
    reason: str = ""
    again: bool = False
    thumbnail: str = ""


def recognise(
    client: ApiClient, uploads: Sequence[Upload], pause: Callable[[float], None] = time.sleep
) -> Iterator[FileRow]:
    """Send files and say what became of each, in their order.

    A service that is busy is asked again; once it does not answer at all, the other files are not sent.

    Args:
        client: of the API.
        uploads: the files.
        pause: waits for some seconds.

    Yields:
        One row per file.
    """
    gone: ApiError | None = None
    for part in portions(uploads):
        if gone is not None:
            yield from _failed(part, gone)
            continue
        try:
            yield from _send(client, part, pause)
        except ApiError as error:
            yield from _failed(part, error)
            gone = error if error.kind in ("down", "foreign") or error.status in (401, 403) else None


def told_apart(rows: Sequence[FileRow]) -> list[FileRow]:
    """Number files of the same name, in their order: `face.jpg (1)`, `face.jpg (2)`.

    Args:
        rows: one per file.

    Returns:
        The same rows, each with a `file` that no other has. Names that occur once stay as they are.
    """
    times = Counter(row.file for row in rows)
    taken, numbers = set(times), Counter[str]()
    named = []
    for row in rows:
        name = row.file
        while times[row.file] > 1 and name in taken:
            numbers[row.file] += 1
            name = f"{row.file} ({numbers[row.file]})"
        taken.add(name)
        named.append(replace(row, file=name))
    return named


def portions(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    """Cut a list of files into requests.

    Args:
        uploads: the files.
    """
    part: list[Upload] = []
    size = 0
    for upload in uploads:
        if part and (len(part) == _FILES or size + upload.size > _BYTES):
            yield part
            part, size = [], 0
        part.append(upload)
        size += upload.size
    if part:
        yield part


def _send(client: ApiClient, part: Sequence[Upload], pause: Callable[[float], None]) -> Iterator[FileRow]:
    try:
        entries = _patiently(client, part, pause)
    except ApiError as error:
        if len(part) == 1 or error.is_passing:
            raise
        # One of the files, or all of them together, are too much: ask for each.
        for upload in part:
            yield from _send_alone(client, upload, pause)
        return
    for upload, entry in zip(part, entries, strict=True):
        reason = entry.problem.detail if entry.problem else "The service said nothing of this file."
        yield FileRow(upload.name, entry.result, "" if entry.result else reason)


def _send_alone(client: ApiClient, upload: Upload, pause: Callable[[float], None]) -> Iterator[FileRow]:
    try:
        yield from _send(client, [upload], pause)
    except ApiError as error:
        yield from _failed([upload], error)


def _patiently(client: ApiClient, part: Sequence[Upload], pause: Callable[[float], None]) -> list[BatchEntry]:
    for left in reversed(range(_TRIES)):
        try:
            return client.batch([upload.getvalue() for upload in part], "auto").results
        except ApiError as error:
            if error.kind != "busy" or not left:
                raise
            pause(min(error.retry_after or 1.0, _LONGEST_PAUSE))
    raise AssertionError("unreachable")


def _failed(part: Sequence[Upload], error: ApiError) -> Iterator[FileRow]:
    for upload in part:
        yield FileRow(upload.name, reason=error.message, again=error.is_passing)
