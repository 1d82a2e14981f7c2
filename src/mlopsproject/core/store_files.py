"""Reads and writes the files of a store: a folder, or a bucket (`gs://…`, `s3://…`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mlopsproject.core.connections import connect, filesystem_class
from mlopsproject.core.errors import StoreError, UnreachableError, UserError, first_line
from mlopsproject.core.files import atomic_file, is_disk_full

#: The default store: this folder of the working directory.
DEFAULT_STORE: Final = "models"


class StoreFiles:
    """The files of a store.

    Args:
        uri: a folder, `gs://bucket/path`, `s3://bucket/path`, or another address that fsspec knows.

    Every method raises `StoreError` for an address of an unknown kind, or one whose package is not installed.
    """

    def __init__(self, uri: str | Path = DEFAULT_STORE) -> None:
        self.uri = str(uri).rstrip("/") or "/"
        protocol, is_remote, _ = self.uri.partition("://")
        self._protocol = protocol if is_remote else "file"
        #: The folder of a local store, ``None`` for a bucket.
        self.folder = Path(self.uri.removeprefix("file://")) if self._protocol == "file" else None

    def check_protocol(self) -> None:
        """Check that the address is of a known kind and its package is installed, without connecting.

        Raises:
            StoreError: naming the known kinds, or the package.
        """
        filesystem_class(self._protocol, self.uri)

    @cached_property
    def _fs(self) -> Any:
        return connect(self._protocol, self.uri)

    def children(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder of the store, sorted; empty if there is no such folder.

        Raises:
            StoreError: if the store cannot be reached.
        """
        with self._reaching("list it"):
            try:
                found = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        return sorted(PurePosixPath(item).name for item in found)

    def read_file(self, path: str) -> bytes | None:
        """A file's content, ``None`` if there is no such file.

        Args:
            path: within the store, with `/`.

        Raises:
            StoreError: if the store cannot be reached.
        """
        with self._reaching(f"read {path}"):
            try:
                content: bytes = self._fs.cat_file(self._path(path))
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        return content

    def write_file(self, path: str, content: bytes) -> None:
        """Write a file atomically, replacing an older one.

        Args:
            path: within the store, with `/`.
            content: of the file.

        Raises:
            StoreError: if the store cannot be written.
            UserError: for a full disk or a folder that cannot be written.
        """
        if self.folder is not None:
            with atomic_file(self.folder / path) as temporary:
                temporary.write_bytes(content)
        else:
            with self._reaching(f"write {path}"):
                self._fs.pipe_file(self._path(path), content)

    def _path(self, *parts: str) -> str:
        root = str(self.folder) if self.folder is not None else self.uri
        return "/".join([root, *(part for part in parts if part)])

    @contextmanager
    def _reaching(self, doing: str) -> Iterator[None]:
        """Convert any error of the file system into a `StoreError` that names the store and the operation."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # every backend raises types of its own
            if is_disk_full(error):  # of this machine
                raise
            reason = first_line(error)
            fix = "Check the address, the network and the credentials." if self.folder is None else ""
            kind = UnreachableError if self.folder is None else StoreError
            raise kind(f"Store {self.uri}: cannot {doing} ({reason}).", fix) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"
