"""Folders, zip and tar archives as streams of entries. Archive members are read in memory and never extracted."""

from __future__ import annotations

import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from mlopsproject.core.errors import DataError, printable
from mlopsproject.data.items import Entry
from mlopsproject.data.limits import Limits
from mlopsproject.data.tar_stream import is_tar, tar_members

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
#: What a cut-off or corrupt archive raises, in whatever layer notices it first.
ARCHIVE_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError)
#: The same for one zip member, which can also be encrypted or packed in a way that is not read.
MEMBER_DAMAGE = (*ARCHIVE_DAMAGE, RuntimeError)
#: The same for the list of a zip's members, whose numbers and names can be anything.
_LIST_DAMAGE = (*MEMBER_DAMAGE, ValueError, struct.error)
#: Bytes asked of a member at a time: a stream makes room for all that it is asked for.
_PIECE: Final = 65536
#: How zip members may be packed. Python unpacks others without bound: four kilobytes of bzip2 can hold gigabytes.
_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def is_zip(path: Path) -> bool:
    """Say whether a file is a zip archive, and not a tar that merely ends in one: a tar is known by its beginning."""
    return not is_tar(path) and zipfile.is_zipfile(path)


def single_entry(file: Path) -> Iterator[Entry]:
    """Give a file that is neither folder nor archive as its own only entry."""
    found = file.stat()
    yield Entry(printable(file.name), found.st_size, str(found.st_mtime_ns), lambda: file.open("rb"), str(file))


def folder_entries(root: Path) -> Iterator[Entry]:
    """Walk a folder in sorted order, following links but entering no folder twice; holds one folder at a time."""
    yield from _walk(str(root), "", set())


def zip_entries(archive: Path, limits: Limits) -> Iterator[Entry]:
    """List a zip archive's files in archive order.

    What its list claims is all that is ever unpacked: Python reads no member beyond its size there.

    Raises:
        DataError: the archive is damaged, or claims more than `limits` allow.
    """
    with _zip_opened(archive) as opened:
        members = opened.infolist()
        limits.check_total(archive, sum(member.file_size for member in members))
        for number, member in enumerate(members, start=1):
            limits.check_member(archive, _inside(member.filename), number, member.file_size)
            if member.is_dir():
                continue
            reason, detail = _unsafe(member.filename)
            if member.compress_type not in _BOUNDED:
                reason, detail = "unreadable", "archive member that is not packed with deflate"
            if member.flag_bits & 0x1:
                reason, detail = "unreadable", "encrypted archive member"
            yield Entry(
                path=_inside(member.filename),
                size=member.file_size,
                stamp=f"{member.CRC:08x}",
                open=partial(_open_zip_member, opened, member),
                reason=reason,
                detail=detail,
            )


def _zip_opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except _LIST_DAMAGE as error:
        raise damaged_archive(archive, error) from error


def _open_zip_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return io.BufferedReader(opened.open(member))  # type: ignore[type-var]
    except (ValueError, struct.error) as error:  # names and places that cannot be
        raise zipfile.BadZipFile(str(error)) from error


def tar_entries(archive: Path, limits: Limits) -> Iterator[Entry]:
    """Stream a tar archive's files, compressed or not, in archive order.

    A member takes as many bytes of the stream as its header claims, so what `limits` allow bounds what is unpacked.

    Raises:
        DataError: the archive is damaged, or has more than `limits` allow.
    """
    try:
        for number, (member, opened) in enumerate(tar_members(archive), start=1):
            limits.check_member(archive, _inside(member.name), number, member.size)
            limits.check_total(archive, opened.offset, _inside(member.name))
            if member.isdir():
                continue
            reason, detail = _unsafe(member.name)
            if not member.isfile() or member.issparse():
                reason, detail = "not_a_regular_file", "link, device or sparse file in the archive"
            yield Entry(
                path=_inside(member.name),
                size=member.size,
                stamp=str(member.mtime),
                open=partial(_open_tar_member, opened, member),
                reason=reason,
                detail=detail,
            )
    except ARCHIVE_DAMAGE as error:
        raise damaged_archive(archive, error) from error


def _open_tar_member(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return opened.extractfile(member) or io.BytesIO()


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
    pieces, left = [], limit + 1
    while left > 0 and (piece := stream.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces) if left > 0 else None
