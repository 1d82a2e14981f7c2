"""Atomic writing of files and folders: an incomplete result never appears under its final name."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlopsproject.core.errors import UserError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means a full disk or an exhausted quota."""
    # PyArrow's errors have no errno.
    return isinstance(error, OSError) and (error.errno in _FULL or "No space left" in str(error))


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn a full disk or missing permission inside the block into an error that names `target` and the fix.

    Raises:
        UserError: in place of such an ``OSError``; other errors are not changed.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise UserError(f"No space left while writing {target}.", "Free some disk space and run again.") from error
        if error.errno in _DENIED:
            what = error.filename or target
            raise UserError(f"{what} cannot be written ({error.strerror}).", "Choose another place.") from error
        raise


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; it replaces `target` on success and is removed on failure.

    Raises:
        UserError: for a full disk or a folder that cannot be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            sync(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder inside `parent`, removed at the end unless it has been renamed.

    Raises:
        UserError: for a full disk or a folder that cannot be written.
    """
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder's files; `target` must not exist.

    Raises:
        OSError: the first that occurs, with its errno, which the collected error of `shutil.copytree` lacks.
    """
    target.mkdir(parents=True)
    for item in sorted(source.rglob("*")):
        place = target / item.relative_to(source)
        if item.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copyfile(item, place)


def move_folder(source: Path, target: Path) -> None:
    """Move a folder, also to another file system; `target` must not exist.

    Raises:
        OSError: as `copy_folder`.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_folder(source, target)
        shutil.rmtree(source)


def put_in_place(folder: Path, target: Path) -> None:
    """Flush a finished folder to the disk and rename it to `target`, which must not exist.

    Raises:
        OSError: if `target` exists and is not empty.
    """
    folder.chmod(0o777 & ~_umask())
    for item in sorted(folder.rglob("*")):
        sync(item)
    sync(folder)
    folder.rename(target)
    sync(target.parent)


def swap_in(folder: Path, target: Path, replaced: Path) -> None:
    """Rename a finished folder to `target`; one that is there already is kept as `replaced`, and put back on failure.

    Args:
        folder: on the file system of `target`.
        target: its place.
        replaced: does not exist yet.
    """
    try:
        if target.exists():
            target.replace(replaced)
        folder.replace(target)
    except BaseException:
        put_back(replaced, target)
        raise


def put_back(replaced: Path, target: Path) -> None:
    """Undo a `swap_in` that was cut off."""
    if replaced.exists() and not target.exists():
        replaced.replace(target)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk (fsync)."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    # The only way to read it is to set it; temporary files are private until they are put in place.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
