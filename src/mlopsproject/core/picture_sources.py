"""The pictures of a source of batch scoring: a file, a folder, a list of paths and URLs, or one URL."""

from __future__ import annotations

import csv
import http.client
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlopsproject.core.errors import DataError, ImageError, printable

LIST_SUFFIXES: Final = (".txt", ".csv")
_IGNORED: Final = ("thumbs.db", "desktop.ini")
_URL_TIMEOUT: Final = 20.0
_URL_BYTES: Final = 50_000_000


@dataclass(frozen=True)
class Entry:
    """One picture to score.

    Attributes:
        name: as the user named it, for the `path` column; bytes of a file name that are not UTF-8 are escaped.
        location: the file to read, or the URL to fetch.
    """

    name: str
    location: Path | str

    def read(self) -> Path | bytes:
        """The picture as `preprocess.decode_image` takes it: its path, or the bytes downloaded from its URL.

        Raises:
            ImageError: with reason `fetch_failed` or `too_large` for a URL.
        """
        return self.location if isinstance(self.location, Path) else _fetch(self.location)


def is_url(text: str) -> bool:
    """Whether `text` is an http(s) address."""
    return text.lower().startswith(("http://", "https://"))


def find_pictures(source: str | Path) -> Iterator[Entry]:
    """List the pictures of a source one by one, in a stable order.

    Args:
        source: a picture file; a folder, whose files are listed recursively, following links, except for hidden ones
            (an unreadable subfolder is listed as a picture, which then cannot be used); a list file (`.txt` with one
            path or URL per line, or `.csv` with a column `path`); or an http(s) URL of a picture. Relative paths of a
            list are resolved against the working directory, then against the list's folder.

    Yields:
        One entry per picture.

    Raises:
        DataError: if the source does not exist, or is a CSV without a column `path`.
    """
    text = str(source)
    if is_url(text):
        yield Entry(text, text)
        return
    path = Path(source)
    if path.is_dir():
        yield from _walk(path)
    elif path.suffix.lower() in LIST_SUFFIXES and path.is_file():
        yield from _from_list(path)
    elif path.exists():
        yield Entry(printable(text), path)
    else:
        raise DataError(f"input={text} does not exist.", "Give a picture, a folder, a .txt or .csv list, or a URL.")


def _walk(folder: Path) -> Iterator[Entry]:
    closed: list[OSError] = []
    seen = {os.path.realpath(folder)}
    for parent, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        folders[:] = [
            name for name in sorted(folders) if not name.startswith(".") and _is_new(Path(parent, name), seen)
        ]
        for name in sorted(files):
            if not name.startswith(".") and name.lower() not in _IGNORED:
                path = Path(parent, name)
                yield Entry(printable(path.as_posix()), path)
    # Listed as pictures, so that they are reported among those that cannot be used.
    for error in closed:
        yield Entry(printable(Path(error.filename).as_posix()), Path(error.filename))


def _is_new(folder: Path, seen: set[str]) -> bool:
    """Whether a folder has not been visited yet, by its real path; adds it to `seen`."""
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _from_list(path: Path) -> Iterator[Entry]:
    try:
        # Bytes that are not UTF-8 are decoded as Python decodes file names, so that such files are found.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            names = _csv_names(stream, path) if path.suffix.lower() == ".csv" else (line.strip() for line in stream)
            for name in names:
                if is_url(name):
                    yield Entry(name, name)
                elif name:
                    found = Path(name)
                    place = found if found.is_absolute() or found.exists() else path.parent / found
                    yield Entry(printable(name), place)
    except csv.Error as error:
        raise DataError(f"{path} is not a readable CSV file ({error}).") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def _csv_names(stream: Iterator[str], path: Path) -> Iterator[str]:
    reader = csv.DictReader(stream)
    columns = list(reader.fieldnames or [])
    if "path" not in columns:
        raise DataError(f"{path} has no column 'path'; it has {columns}.", "Name the column of the pictures 'path'.")
    for row in reader:
        yield (row["path"] or "").strip()


def _fetch(url: str) -> bytes:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "mlopsproject"})  # noqa: S310 - is_url checked it
        with urllib.request.urlopen(request, timeout=_URL_TIMEOUT) as response:  # noqa: S310 - http(s) only
            content: bytes = response.read(_URL_BYTES + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ImageError("fetch_failed", f"The address did not give a picture ({reason}).") from error
    if len(content) > _URL_BYTES:
        raise ImageError("too_large", f"The address gave more than {_URL_BYTES:,} bytes.")
    return content
