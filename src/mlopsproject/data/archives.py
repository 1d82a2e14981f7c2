"""Folders, zip and tar archives as streams of entries. Archive members are read in memory and never extracted."""

from __future__ import annotations

import io
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from mlopsproject.core.errors import DataError, printable
from mlopsproject.data.items import Entry

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
#: What a cut-off or corrupt archive raises, in whatever layer notices it first.
ARCHIVE_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError)
#: The same for one zip member, which can also be encrypted or packed in a way that is not read.
MEMBER_DAMAGE = (*ARCHIVE_DAMAGE, RuntimeError)


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive, and not a tar that merely ends in one: a tar is known by its beginning."""
    try:
        tar = tarfile.is_tarfile(path)
    except (EOFError, zlib.error, lzma.LZMAError):  # cut off within its first member
        tar = True
    return not tar and zipfile.is_zipfile(path)


def single_entry(file: Path) -> Iterator[Entry]:
    """Give a file that is neither folder nor archive as its own only entry."""
    found = file.stat()
    yield Entry(printable(file.name), found.st_size, str(found.st_mtime_ns), lambda: file.open("rb"), str(file))


def folder_entries(root: Path) -> Iterator[Entry]:
    """Walk a folder in sorted order, following links but entering no folder twice; holds one folder at a time."""
    yield from _walk(str(root), "", set())


def zip_entries(archive: Path) -> Iterator[Entry]:
    """List a zip archive's files in archive order.

    Raises:
        DataError: the archive is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
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


def tar_entries(archive: Path) -> Iterator[Entry]:
    """Stream a tar archive's files, compressed or not, in archive order.

    Raises:
        DataError: the archive is damaged.
    """
    try:
        with tarfile.open(archive, mode="r|*") as opened:
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
