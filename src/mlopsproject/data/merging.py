"""Imported data sets as one source: the first as it was split, the others new beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from mlopsproject.core.errors import DataError
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import Labels
from mlopsproject.data.manifest import read_import, read_manifest
from mlopsproject.data.sources import MERGED_PREFIX, Scan, Source

_BETWEEN: Final = "+"


def merged_source(folders: Sequence[Path]) -> str:
    """What names several imported data sets as one source.

    Args:
        folders: `data/<name>` of each; the first one's images keep their splits.
    """
    # A path may have the sign that stands between two.
    return MERGED_PREFIX + _BETWEEN.join(quote(folder.as_posix()) for folder in folders)


def open_merged(given: str) -> MergedSource:
    """Open a source of several data sets; pictures are named `<data set>/<path>`.

    Args:
        given: as `merged_source` writes it.

    Raises:
        DataError: if one is no imported data set, its pictures are gone, or a name occurs twice.
    """
    from mlopsproject.data.originals import open_origin

    folders = [Path(unquote(part)) for part in given.removeprefix(MERGED_PREFIX).split(_BETWEEN) if part]
    names = [folder.name for folder in folders]
    if len(folders) < 2 or len(set(names)) < len(names):
        raise DataError(
            f"source={given} does not name several data sets.", f"Write it {MERGED_PREFIX}data/A{_BETWEEN}data/B."
        )
    infos = [read_import(folder) for folder in folders]
    parts = tuple(open_origin(info) for info in infos)
    own = tuple(dict.fromkeys(name for part in parts for name in part.labels.own))
    return MergedSource(Path(given), given, Labels(own), folders=tuple(folders), parts=parts)


@dataclass(frozen=True)
class MergedSource(Source):
    """Several imported data sets, read from where each was imported.

    Attributes:
        folders: `data/<name>` of each.
        parts: their sources.
    """

    folders: tuple[Path, ...] = ()
    parts: tuple[Source, ...] = ()

    def items(self, *, read: bool = True) -> Iterator[Item]:
        """Yield every file of every part once, always in the same order.

        Args:
            read: see `Source.items`.

        Raises:
            DataError: see `Source.items`.
        """
        for folder, part in zip(self.folders, self.parts, strict=True):
            for item in part.items(read=read):
                yield item._replace(path=f"{folder.name}/{item.path}")

    def scan(self) -> Scan:
        """Count, label and fingerprint everything without decoding a picture.

        The fingerprint also changes with the manifests: with how the first data set is split.

        Raises:
            DataError: see `Source.scan`.
        """
        digest = hashlib.blake2b(digest_size=16)
        labels: Counter[str] = Counter()
        splits: Counter[str] = Counter()
        files = 0
        for folder, part in zip(self.folders, self.parts, strict=True):
            found = part.scan()
            known = read_import(folder)["fingerprint"]
            digest.update(f"{folder.name}\0{found.fingerprint}\0{known}\n".encode())
            labels += found.labels
            splits += found.source_splits
            files += found.files
        return Scan(files, digest.hexdigest(), labels, splits)

    def kept_splits(self) -> dict[str, str]:
        """The split of every image of the first data set, by path; `train` for those that it left out of all splits."""
        first = self.folders[0]
        manifest = read_manifest(first)
        paths, splits = (manifest.column(name).to_pylist() for name in ("path", "split"))
        return {f"{first.name}/{path}": split or "train" for path, split in zip(paths, splits, strict=True)}

    def kept_votes(self) -> dict[str, str]:
        """The votes on every image of every data set, by path."""
        found: dict[str, str] = {}
        for folder in self.folders:
            manifest = read_manifest(folder)
            paths, votes = (manifest.column(name).to_pylist() for name in ("path", "votes"))
            found |= {f"{folder.name}/{path}": text for path, text in zip(paths, votes, strict=True)}
        return found
