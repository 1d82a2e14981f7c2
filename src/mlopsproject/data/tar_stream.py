"""Tar archives as streams that end: whatever their headers say, reading takes time and memory for what is there."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

_BLOCK: Final = 512
#: Bytes of a member's headers: long names and extended attributes come in blocks of their own before it.
_MAX_HEADERS: Final = 1024 * 1024
#: How compressed archives begin.
_MAGIC: Final[dict[bytes, Any]] = {
    b"\x1f\x8b\x08": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}


def is_tar(path: Path) -> bool:
    """Say whether a file begins as a tar archive does, compressed or not."""
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    if head.startswith(tuple(_MAGIC)):
        return True
    try:
        tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def tar_members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Read a tar archive, compressed or not, member by member.

    Args:
        archive: the file.

    Yields:
        Each member's header, and the open archive, from which its bytes can be read until the next one is taken; its
        `offset` is where they end.

    Raises:
        TarError, EOFError, OSError, zlib.error, lzma.LZMAError: it is damaged or cut off.
    """
    with _unpacked(archive) as plain:
        stream = _Stream(plain)
        with tarfile.open(mode="r|", fileobj=cast(IO[bytes], stream), tarinfo=_Header) as opened:
            stream.allow(opened.offset)
            while (member := opened.next()) is not None:
                opened.members = []  # type: ignore[attr-defined]  # else a million members stay in memory
                stream.allow(opened.offset)
                yield member, opened


def _unpacked(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        head = file.read(_BLOCK)
    opener = next((opener for magic, opener in _MAGIC.items() if head.startswith(magic)), None)
    return cast(IO[bytes], opener(archive)) if opener else archive.open("rb")


class _Header(tarfile.TarInfo):
    """A member's header, whose damage is an error: `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Header:
        """Read the next header.

        Raises:
            TarError: it is damaged or cut off, or there is none though the archive has not ended.
        """
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        # Numbers that are none, names in no encoding, headers within headers without end.
        except (tarfile.HeaderError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise tarfile.ReadError(str(error)) from error


class _Stream:
    """What `tarfile` reads an archive from.

    `tarfile` skips a member by reading as many blocks as its header claims, even after the archive has ended, and takes
    headers of any length into memory; here, both end in an error.

    Args:
        plain: the archive, unpacked.
    """

    def __init__(self, plain: IO[bytes]) -> None:
        self._plain = plain
        self._position = 0
        self._ended = False
        self.allow(0)

    def allow(self, end: int) -> None:
        """Let the bytes up to `end` be read, where a member's own end, and the headers of the next one."""
        self._until = end + _MAX_HEADERS

    def read(self, size: int) -> bytes:
        """Read the next bytes.

        Raises:
            EOFError: a second time at the end.
            TarError: the headers of a member are longer than those of any picture.
        """
        if self._ended:
            raise EOFError("unexpected end of data")
        data = self._plain.read(size)
        self._ended = not data
        self._position += len(data)
        if self._position > self._until:
            raise tarfile.ReadError("the headers of a member are too long")
        return data
