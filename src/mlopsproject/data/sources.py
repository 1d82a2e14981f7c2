"""Where images come from: folders, zip and tar archives, FER2013 CSV files, Kaggle. Nothing is extracted to disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from mlopsproject.core.errors import ConfigError, DataError, nearest
from mlopsproject.data.archives import (
    ARCHIVE_SUFFIXES,
    MEMBER_DAMAGE,
    damaged_archive,
    folder_entries,
    is_zip,
    read_limited,
    single_entry,
    tar_entries,
    unpack_limit,
    zip_entries,
)
from mlopsproject.data.fer_csv import fer_delimiter, read_rows
from mlopsproject.data.items import MAX_FILE_BYTES, Entry, Item
from mlopsproject.data.kaggle import KAGGLE_PREFIX, download
from mlopsproject.data.labelling import USUAL_NAMES, ClassNames, label_path

#: A source of this kind is written `merged:data/A+data/B`, naming folders of imported data sets.
MERGED_PREFIX: Final = "merged:"


@dataclass(frozen=True)
class Scan:
    """What a first look over a source found, without decoding anything.

    Attributes:
        files: files and CSV rows in the source.
        fingerprint: hash of every path, size and time stamp; changes when the source does.
        labels: pictures per class.
        source_splits: pictures per published split (`""` where there is none).
    """

    files: int
    fingerprint: str
    labels: Counter[str] = field(default_factory=Counter)
    source_splits: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Source:
    """A folder, archive or CSV file with labelled faces.

    Attributes:
        location: where it lies on disk.
        given: what the user asked for, such as `kaggle:owner/slug`.
        names: which folders and labels mean which class.
        max_unpacked_gb: most that an archive may unpack to, see `archives.unpack_limit`.
    """

    location: Path
    given: str
    names: ClassNames = USUAL_NAMES
    max_unpacked_gb: float | None = None

    def items(self, *, read: bool = True) -> Iterator[Item]:
        """Yield every file and CSV row once, always in the same order.

        Args:
            read: fetch archive members' bytes; without it the payloads of archive members stay empty.

        Raises:
            DataError: an unknown class folder, or a damaged archive.
        """
        for entry in self._entries():
            yield from self._expand(entry, read)

    def scan(self) -> Scan:
        """Count, label and fingerprint everything without decoding a picture.

        Raises:
            DataError: an unknown class folder, a damaged archive, or no picture in any class folder.
        """
        digest = hashlib.blake2b(digest_size=16)
        labels: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        mapped: set[str] = set()
        files = 0
        for entry in self._entries():
            digest.update(f"{entry.path}\0{entry.size}\0{entry.stamp}\n".encode())
            for item in self._expand(entry, read=False):
                files += 1
                mapped.add(item.mapped)
                if not item.reason:
                    labels[item.label] += 1
                    splits[item.source_split] += 1
        if not labels:
            raise DataError(
                f"{self.location} holds no picture in a class folder ({files} files looked at).",
                "Expected folders named after classes, such as happy/ or train/happy/, or a CSV with columns emotion "
                "and pixels, separated by commas, semicolons or tabs.",
            )
        unused = {name for name, _ in self.names.label_map} - mapped
        if unused:
            raise ConfigError(
                f"label_map names {min(unused)!r}, which no folder or label of {self.location} is called.",
                f"Found: {', '.join(sorted(labels))}.",
            )
        return Scan(files, digest.hexdigest(), labels, splits)

    def _entries(self) -> Iterator[Entry]:
        if self.location.is_dir():
            return folder_entries(self.location)
        limit = unpack_limit(self.location, self.max_unpacked_gb)
        if is_zip(self.location):
            return zip_entries(self.location, limit)
        if self.location.name.lower().endswith(".csv"):
            return single_entry(self.location)
        return tar_entries(self.location, limit)

    def _expand(self, entry: Entry, read: bool) -> Iterator[Item]:
        """Turn one file into its item, or a FER-style CSV into one item per row."""
        if entry.reason:
            yield Item(entry.path, reason=entry.reason, detail=entry.detail)
            return
        if not entry.path.lower().endswith(".csv"):
            yield self._file(entry, read)
            return
        with self._damage_named(entry), entry.open() as stream:
            # Files, zip and tar members all come as buffered streams, which can look ahead.
            delimiter = fer_delimiter(stream.peek(4096)[:4096])  # type: ignore[attr-defined]
            if delimiter is not None:
                yield from read_rows(stream, entry.path, self.names, delimiter)
            else:
                yield self._file(entry, read, stream)

    @contextmanager
    def _damage_named(self, entry: Entry) -> Iterator[None]:
        """Turn what a damaged archive raises while one of its members is read into the error that says so."""
        try:
            yield
        except MEMBER_DAMAGE as error:
            if entry.file is not None:
                raise
            raise damaged_archive(self.location, error) from error

    def _file(self, entry: Entry, read: bool, opened: IO[bytes] | None = None) -> Item:
        """Turn a file that is no list of pictures into its item; a tar member is open already if it was looked at."""
        label, split, reason, detail, mapped = label_path(entry.path, self.names)
        if not reason and entry.size > MAX_FILE_BYTES:
            reason, detail = "too_large", f"{entry.size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
        if entry.file is not None:
            return Item(entry.path, label, split, entry.file, "file", reason, detail, mapped)
        item = Item(entry.path, label, split, reason=reason, detail=detail, mapped=mapped)
        return item if reason or not read else self._with_bytes(item, entry, opened)

    def _with_bytes(self, item: Item, entry: Entry, opened: IO[bytes] | None) -> Item:
        try:
            with opened or entry.open() as stream:
                data = read_limited(stream, MAX_FILE_BYTES)
        except MEMBER_DAMAGE as error:
            # A zip member can be corrupt alone; a tar stream cannot go on after damage.
            if not is_zip(self.location):
                raise damaged_archive(self.location, error) from error
            return item._replace(reason="unreadable", detail=str(error))
        if data is None:
            return item._replace(reason="too_large", detail=f"unpacks to more than {MAX_FILE_BYTES:,} bytes")
        return item._replace(payload=data)


def open_source(source: str | Path, names: ClassNames = USUAL_NAMES, max_unpacked_gb: float | None = None) -> Source:
    """Find the source and say how to read it.

    Args:
        source: a folder, a zip or tar archive, a FER2013 CSV file, `kaggle:owner/slug`, or imported data sets as
            `merged:data/A+data/B`.
        names: which folders and labels mean which class.
        max_unpacked_gb: most that an archive may unpack to, see `archives.unpack_limit`.

    Raises:
        DataError: nothing is there, it is of no known kind, or the download failed.
    """
    given = str(source)
    if given.startswith(MERGED_PREFIX):
        from mlopsproject.data.merging import open_merged

        return open_merged(given)
    if given.startswith(KAGGLE_PREFIX):
        return Source(download(given.removeprefix(KAGGLE_PREFIX)), given, names, max_unpacked_gb)
    location = Path(source).expanduser()
    if not location.exists():
        siblings = [item.name for item in location.parent.iterdir()] if location.parent.is_dir() else []
        hint = nearest(location.name, siblings)
        raise DataError(
            f"source={given} does not exist{'; ' + hint if hint else '.'}", "" if hint else "Check the path."
        )
    if location.is_file() and not (location.name.lower().endswith((*ARCHIVE_SUFFIXES, ".csv")) or is_zip(location)):
        raise DataError(
            f"source={given} is neither a folder, an archive nor a CSV.",
            f"Read are folders, {', '.join(ARCHIVE_SUFFIXES)} and FER2013's .csv.",
        )
    return Source(location.resolve(), given, names, max_unpacked_gb)
