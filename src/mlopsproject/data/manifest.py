"""The manifest: one row per usable image, saved as Parquet, with a fingerprint of what it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import DataError, first_line, nearest
from mlopsproject.data.arrow import arrow_array

MANIFEST_FILE: Final = "manifest.parquet"
EXCLUDED_FILE: Final = "excluded.csv"
IMPORT_FILE: Final = "import.json"
CACHE_FOLDER: Final = "cache"
#: Version of the files in a data set folder; a reader refuses others.
FORMAT: Final = 1

SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.string()),
        ("source_split", pa.string()),
        ("split", pa.string()),
        ("pixel_hash", pa.string()),
        ("perceptual_hash", pa.uint64()),
        ("group", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("flags", pa.string()),
        # JSON such as {"happy":7,"sad":3}; empty where nobody voted.
        ("votes", pa.string()),
    ]
)
_SLICE: Final = 65536


def fingerprint(manifest: pa.Table) -> str:
    """Hash what the manifest says about every image: path, class, split and pixels, and votes where there are some.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    # Without votes the hash stays that of the versions that knew none.
    has_votes = any(manifest.column("votes").unique().to_pylist())
    names = ("path", "label", "split", "pixel_hash", *["votes"] * has_votes)
    for start in range(0, manifest.num_rows, _SLICE):
        part = manifest.slice(start, _SLICE)
        for name in names:
            digest.update("\0".join(part.column(name).to_pylist()).encode())
            digest.update(b"\n")
    return digest.hexdigest()


def read_import(folder: Path) -> dict[str, Any]:
    """Read a data set's `import.json`.

    Args:
        folder: `data/<name>`.

    Raises:
        DataError: no such data set (naming the known ones), or it is damaged or of another format.
    """
    path = folder / IMPORT_FILE
    if not path.is_file():
        known = known_datasets(folder.parent)
        hint = nearest(folder.name, known)
        listed = f"Known: {', '.join(known)}." if known else "None is imported yet."
        raise DataError(
            f"No data set {folder.name!r} in {folder.parent}{'; ' + hint if hint else '.'} {listed}",
            f"Import one: {job_command('import-data', 'source=PATH', f'name={folder.name}')}",
        )
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = info["format"]
        if found == FORMAT:
            _require_keys(info)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(f"{path} is damaged ({error}).", f"Delete {folder} and import it again.") from error
    if found != FORMAT:
        raise DataError(
            f"{path} has format {found}; this version reads {FORMAT}.", f"Delete {folder} and import it again."
        )
    return info


def _require_keys(info: dict[str, Any]) -> None:
    """Look up what every reader relies on; a missing one raises ``KeyError``."""
    for name in ("name", "files", "rows", "fingerprint", "options"):
        info[name]
    for name in ("given", "location", "fingerprint"):
        info["source"][name]
    for name in ("size", "channels", "resize_filter", "min_size", "max_pixels", "own_classes"):
        info["options"][name]


def read_manifest(folder: Path) -> pa.Table:
    """Read a data set's manifest and check it against the fingerprint taken at import.

    Args:
        folder: `data/<name>`.

    Returns:
        A table with the columns of `SCHEMA`.

    Raises:
        DataError: missing or damaged.
    """
    info = read_import(folder)
    path = folder / MANIFEST_FILE
    try:
        # Not `read_table`: it imports the data set machinery, which takes longer than reading.
        table = pq.ParquetFile(path).read()
        if "votes" not in table.column_names:  # of a version that knew none
            table = table.append_column("votes", arrow_array([""] * table.num_rows, pa.string()))
        table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    except (OSError, pa.ArrowException, KeyError) as error:
        reason = first_line(error)
        raise DataError(f"{path} is missing or damaged ({reason}).", f"Delete {folder} and import it again.") from error
    if fingerprint(table) != info["fingerprint"]:
        raise DataError(f"{path} does not match {IMPORT_FILE} beside it.", f"Delete {folder} and import it again.")
    return table


def write_manifest(table: pa.Table, path: Path) -> None:
    """Write the manifest as Parquet."""
    pq.write_table(table, path, compression="zstd")


def column(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    """Take one column as a NumPy array: numbers read-only, strings as objects."""
    values = table.column(name).combine_chunks()
    if pa.types.is_string(values.type):
        return np.array(values.to_pylist(), object)
    # Not `to_numpy`: it imports pandas, which takes longer than opening a data set may.
    return np.from_dlpack(values.chunk(0) if isinstance(values, pa.ChunkedArray) else values)


def codes(table: pa.Table, name: str) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    """Take a column of few different strings as numbers.

    Returns:
        int64 `[N]` indices into the list of its different values.
    """
    encoded = table.column(name).combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return np.from_dlpack(encoded.indices).astype(np.int64), encoded.dictionary.to_pylist()


def known_datasets(root: Path) -> list[str]:
    """List the data sets imported under `root`."""
    if not root.is_dir():
        return []
    return sorted(item.name for item in root.iterdir() if (item / IMPORT_FILE).is_file())
