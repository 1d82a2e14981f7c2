"""Folders, zip and tar archives as streams of entries. Archive members are read in memory and never extracted.

What an archive unpacks to is bounded, whatever its headers claim: see `unpack_limit`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final, Self, cast

from mlopsproject.core.errors import DataError, printable
from mlopsproject.data.items import Entry

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
#: What a cut-off or corrupt archive raises, in whatever layer notices it first.
ARCHIVE_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError)
#: How compressed archives begin, and what reads them.
_COMPRESSIONS: Final[dict[bytes, Callable[[IO[bytes]], object]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
    b"\x5d\0\0": lzma.LZMAFile,
}
#: Headers whose content is about the next member.
_EXTENDED: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
#: The same for one zip member, which can also be encrypted or packed in a way that is not read.
MEMBER_DAMAGE = (*ARCHIVE_DAMAGE, RuntimeError)


def unpack_limit(archive: Path, gigabytes: float | None = None) -> int:
    """Most bytes that an archive may unpack to.

    Args:
        archive: a zip or tar file.
        gigabytes: as `max_unpacked_gb`; ``None`` is 1 GB and a hundred times the archive's size.
    """
    return 10**9 + 100 * archive.stat().st_size if gigabytes is None else int(gigabytes * 10**9)


class _Unpacked:
    """The bytes of a tar archive without its compression, no more than a limit, and none behind the end."""

    def __init__(self, archive: Path, stream: IO[bytes], limit: int) -> None:
        self._archive = archive
        self._stream = stream
        self._limit = self._left = limit
        self._ends = 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes.

        Raises:
            DataError: beyond the limit.
            EOFError: if a reader does not stop at the end, because a member claims to be longer.
        """
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._archive, self._limit)
        self._ends = 0 if data else self._ends + 1
        if self._ends > 2:
            raise EOFError("a member is longer than the archive")
        return data


class _Header(tarfile.TarInfo):
    """A member's header; extended ones, which tarfile reads into memory whole, are bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header.

        Raises:
            tarfile.TarError: for a damaged one, or an extended one of more than 1 MB.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDED and header.size > 1 << 20:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


@contextmanager
def _open_tar(archive: Path, limit: int) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        unpack = next((unpack for magic, unpack in _COMPRESSIONS.items() if head.startswith(magic)), None)
        stream = cast("IO[bytes]", unpack(file)) if unpack is not None else file
        plain = _Unpacked(archive, stream, limit)
        with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r|", tarinfo=_Header) as opened:
            yield opened


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive, and not a tar that merely ends in one: a tar is known by its beginning."""
    try:
        with _open_tar(path, 1 << 30):
            return False
    except tarfile.TarError:
        return zipfile.is_zipfile(path)
    except ARCHIVE_DAMAGE:  # a tar that is cut off within its first member
        return False


def single_entry(file: Path) -> Iterator[Entry]:
    """Give a file that is neither folder nor archive as its own only entry."""
    found = file.stat()
    yield Entry(printable(file.name), found.st_size, str(found.st_mtime_ns), lambda: file.open("rb"), str(file))


def folder_entries(root: Path) -> Iterator[Entry]:
    """Walk a folder in sorted order, following links but entering no folder twice; holds one folder at a time."""
    yield from _walk(str(root), "", set())


def zip_entries(archive: Path, limit: int) -> Iterator[Entry]:
    """List a zip archive's files in archive order.

    Args:
        archive: the file.
        limit: most bytes that it may unpack to. No member is read further than its header says.

    Raises:
        DataError: the archive is damaged, or unpacks to more.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            if sum(member.file_size for member in opened.infolist()) > limit:
                raise _too_large(archive, limit)
            for member in opened.infolist():
                if member.is_dir():
                    continue
                reason, detail = _unsafe(member.filename)
                if member.flag_bits & 0x1:
                    reason, detail = "unreadable", "encrypted archive member"
                yield Entry(
                    path=_inside(member.filename),
                    size=member.file_size,
                    stamp=f"{member.CRC:08x}",
                    open=lambda member=member: opened.open(member),  # type: ignore[misc]
                    reason=reason,
                    detail=detail,
                )
    except zipfile.BadZipFile as error:
        raise damaged_archive(archive, error) from error


def tar_entries(archive: Path, limit: int) -> Iterator[Entry]:
    """Stream a tar archive's files, compressed or not, in archive order.

    Args:
        archive: the file.
        limit: most bytes that it may unpack to.

    Raises:
        DataError: the archive is damaged, or unpacks to more.
    """
    try:
        with _open_tar(archive, limit) as opened:
            for member in opened:
                opened.members = []  # type: ignore[attr-defined]  # else a million members stay in memory
                if member.isdir():
                    continue
                reason, detail = _unsafe(member.name)
                if not member.isfile():
                    reason, detail = "not_a_regular_file", "link or device in the archive"
                yield Entry(
                    path=_inside(member.name),
                    size=member.size,
                    stamp=str(member.mtime),
                    open=lambda member=member: opened.extractfile(member) or io.BytesIO(),  # type: ignore[misc]
                    reason=reason,
                    detail=detail,
                )
    except ARCHIVE_DAMAGE as error:
        raise damaged_archive(archive, error) from error


def damaged_archive(archive: Path, error: BaseException) -> DataError:
    """Build the error for an archive that cannot be read to its end."""
    return DataError(
        f"{archive} is cut off or damaged ({error or type(error).__name__}).", "Download or pack it again."
    )


def _too_large(archive: Path, limit: int) -> DataError:
    return DataError(
        f"{archive} unpacks to more than {limit / 1e9:,.1f} GB.", "If it is meant to, import it with max_unpacked_gb=N."
    )


def _walk(folder: str, prefix: str, visited: set[tuple[int, int]]) -> Iterator[Entry]:
    try:
        status = os.stat(folder)  # noqa: PTH116  # pathlib costs more than the call, a million times
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield _unreadable(prefix.rstrip("/") or ".", error)
        return
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    folders = []
    for entry in entries:
        path = prefix + printable(entry.name)
        try:
            if entry.is_dir():
                folders.append((entry.path, path + "/"))
                continue
            found = entry.stat()
        except OSError as error:
            yield _unreadable(path, error)
            continue
        regular = stat.S_ISREG(found.st_mode)
        yield Entry(
            path=path,
            size=found.st_size,
            stamp=str(found.st_mtime_ns),
            open=lambda file=entry.path: open(file, "rb"),  # type: ignore[misc]  # noqa: PTH123, SIM115
            file=entry.path,
            reason="" if regular else "not_a_regular_file",
            detail="" if regular else "device, pipe or socket",
        )
    for child, child_prefix in folders:
        yield from _walk(child, child_prefix, visited)


def _unreadable(path: str, error: OSError) -> Entry:
    return Entry(path, 0, "", io.BytesIO, reason="unreadable", detail=error.strerror or str(error))


def _inside(name: str) -> str:
    parts = [part for part in printable(name.replace("\\", "/")).split("/") if part not in ("", ".")]
    return "/".join(parts)


def _unsafe(name: str) -> tuple[str, str]:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        return "unsafe_path", "the archive member points outside the archive"
    return "", ""


def read_limited(stream: IO[bytes], limit: int) -> bytes | None:
    """Read a member to its end, or return ``None`` when it is longer than `limit` bytes, whatever its header says."""
    data = stream.read(limit + 1)
    return None if len(data) > limit else data
