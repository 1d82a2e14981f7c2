"""Where images come from: folders, zip and tar archives, FER2013 CSV files, Kaggle. Nothing is extracted to disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
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
    zip_entries,
)
from mlopsproject.data.fer_csv import CSV_SUFFIXES, find_delimiter, read_rows
from mlopsproject.data.items import MAX_FILE_BYTES, Entry, Item
from mlopsproject.data.kaggle import KAGGLE_PREFIX, download
from mlopsproject.data.labelling import USUAL_LABELS, Labels, label_path
from mlopsproject.data.limits import USUAL_LIMITS, Limits

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
        labels: how its labels are read.
        limits: what it may hold.
    """

    location: Path
    given: str
    labels: Labels = USUAL_LABELS
    limits: Limits = USUAL_LIMITS

    def items(self, *, read: bool = True) -> Iterator[Item]:
        """Yield every file and CSV row once, always in the same order.

        Args:
            read: fetch archive members' bytes; without it the payloads of archive members stay empty.

        Raises:
            DataError: an unknown class, a damaged archive, or one that holds more than it may.
        """
        for entry in self._entries():
            yield from self._expand(entry, read)

    def scan(self) -> Scan:
        """Count, label and fingerprint everything without decoding a picture.

        Raises:
            ConfigError: a key of `label_map` that no picture carries.
            DataError: see `items`; or no picture in any class folder.
        """
        digest = hashlib.blake2b(digest_size=16)
        labels: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        found: set[tuple[str, ...]] = set()
        left_out: Counter[str] = Counter()
        files = 0
        for entry in self._entries():
            digest.update(f"{entry.path}\0{entry.size}\0{entry.stamp}\n".encode())
            for item in self._expand(entry, read=False):
                files += 1
                self.limits.check_files(self.location, files)
                found.add(item.found)
                if item.reason:
                    left_out[f"{item.reason}, {item.detail}"] += 1
                    continue
                labels[item.label] += 1
                splits[item.source_split] += 1
        self._check_label_map(found - {()})
        if not labels:
            mostly = "".join(f", mostly: {why}" for why, _ in left_out.most_common(1))
            raise DataError(
                f"{self.location} holds no picture in a class folder ({files} files looked at{mostly}).",
                "Expected folders named after classes, such as happy/ or train/happy/, or a FER2013 CSV.",
            )
        return Scan(files, digest.hexdigest(), labels, splits)

    def _check_label_map(self, found: Collection[tuple[str, ...]]) -> None:
        """Check that every key of `label_map` is the label of a picture."""
        known = {name for names in found for name in self.labels.names_of(names)}
        for key, _ in self.labels.label_map:
            if key not in known:
                hint = nearest(key, (name for names in found for name in names))
                there = ", ".join(sorted(" = ".join(names) for names in found)) or "none"
                raise ConfigError(
                    f"label_map names {key!r}, which is no label in {self.location}{'; ' + hint if hint else '.'}",
                    f"Labels there: {there}.",
                )

    def _entries(self) -> Iterator[Entry]:
        if self.location.is_dir():
            return folder_entries(self.location)
        if is_zip(self.location):
            return zip_entries(self.location, self.limits)
        if self._is_csv:
            return single_entry(self.location)
        return tar_entries(self.location, self.limits)

    @property
    def _is_csv(self) -> bool:
        return self.location.is_file() and self.location.name.lower().endswith(CSV_SUFFIXES)

    def _expand(self, entry: Entry, read: bool) -> Iterator[Item]:
        """Turn one file into its item, or a FER-style CSV into one item per row."""
        if entry.reason:
            yield Item(entry.path, reason=entry.reason, detail=entry.detail)
            return
        if not entry.path.lower().endswith(CSV_SUFFIXES):
            yield self._file(entry, read)
            return
        with self._damage_named(entry), entry.open() as stream:
            # Files, zip and tar members all come as buffered streams, which can look ahead.
            head = stream.peek(4096)[:4096]  # type: ignore[attr-defined]
            delimiter = find_delimiter(head, entry.path, required=self._is_csv)
            if delimiter is not None:
                yield from read_rows(stream, entry.path, delimiter, self.labels)
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
        label, split, reason, detail, found = label_path(entry.path, self.labels)
        if not reason and entry.size > MAX_FILE_BYTES:
            reason, detail = "too_large", f"{entry.size:,} bytes; at most {MAX_FILE_BYTES:,} are read"
        if entry.file is not None:
            return Item(entry.path, label, split, entry.file, "file", reason, detail, found)
        item = Item(entry.path, label, split, reason=reason, detail=detail, found=found)
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


def open_source(source: str | Path, labels: Labels = USUAL_LABELS, limits: Limits = USUAL_LIMITS) -> Source:
    """Find the source and say how to read it.

    Args:
        source: a folder, a zip or tar archive, a FER2013 CSV file, `kaggle:owner/slug`, or imported data sets as
            `merged:data/A+data/B`.
        labels: how its labels are read; several data sets keep theirs.
        limits: what it may hold.

    Raises:
        ConfigError: a `label_map` for several data sets.
        DataError: nothing is there, it is of no known kind, or the download failed.
    """
    given = str(source)
    if given.startswith(MERGED_PREFIX):
        from mlopsproject.data.merging import open_merged

        if labels.label_map:
            raise ConfigError(
                f"label_map is not possible with source={MERGED_PREFIX}….", "Give it when each of them is imported."
            )
        return open_merged(given)
    if given.startswith(KAGGLE_PREFIX):
        return Source(download(given.removeprefix(KAGGLE_PREFIX)), given, labels, limits)
    location = Path(source).expanduser()
    if not location.exists():
        siblings = [item.name for item in location.parent.iterdir()] if location.parent.is_dir() else []
        hint = nearest(location.name, siblings)
        raise DataError(
            f"source={given} does not exist{'; ' + hint if hint else '.'}", "" if hint else "Check the path."
        )
    if location.is_file() and not (
        location.name.lower().endswith((*ARCHIVE_SUFFIXES, *CSV_SUFFIXES)) or is_zip(location)
    ):
        raise DataError(
            f"source={given} is neither a folder, an archive nor a CSV.",
            f"Read are folders, {', '.join(ARCHIVE_SUFFIXES)} and FER2013's {' or '.join(CSV_SUFFIXES)}.",
        )
    return Source(location.resolve(), given, labels, limits)
