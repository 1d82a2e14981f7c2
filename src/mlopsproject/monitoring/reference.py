"""Reads the reference data of a bundle: its table, and the pictures if the data set is available."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import BundleError, DataError, first_line
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.manifest import read_import
from mlopsproject.monitoring.detection import embedding_columns
from mlopsproject.monitoring.settings import EMBEDDING, PREDICTED

REFERENCE_FILE = "reference.parquet"


def read_reference(bundle: Bundle, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read the reference table of a bundle, which describes its validation faces.

    Args:
        bundle: of the table.
        columns: that are required; `embedding` stands for `e_0`, `e_1`, ….

    Raises:
        BundleError: if the table is missing, unreadable or empty, lacks one of these columns, or has values in them
            that are not finite numbers (strings for `predicted`).
    """
    again = f"Export the bundle again: {job_command('export')}"
    if REFERENCE_FILE not in bundle.spec.files:
        raise BundleError(f"Bundle {bundle.name} has no {REFERENCE_FILE}, so that nothing can be compared.", again)
    path = bundle.file(REFERENCE_FILE)
    try:
        table: pd.DataFrame = pq.ParquetFile(path).read().to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path} cannot be read ({first_line(error)}).", again) from error
    present = [*table.columns, *([EMBEDDING] if embedding_columns(table) else [])]
    missing = [name for name in columns if name not in present]
    if missing or not len(table):
        lacks = f"has no column {missing[0]}" if missing else "is empty"
        raise BundleError(f"{path} {lacks}.", again)
    for name in [*columns, *(embedding_columns(table) if EMBEDDING in columns else [])]:
        if name in table and not _is_usable(table[name]):
            raise BundleError(f"{path}: the column {name} has values that cannot be compared.", again)
    return table


def _is_usable(values: pd.Series[Any]) -> bool:
    if values.name == PREDICTED:
        return bool(values.map(lambda value: isinstance(value, str)).all())
    return pd.api.types.is_numeric_dtype(values) and bool(np.isfinite(values.to_numpy(np.float64)).all())


def reference_pictures(bundle: Bundle, root: Path, count: int, seed: int) -> NDArray[np.uint8] | None:
    """Some validation pictures of the data set that a bundle was trained on, if it is imported.

    Args:
        bundle: of the reference.
        root: folder of the data sets.
        count: largest number of pictures.
        seed: of their random choice.

    Returns:
        uint8 `[N, C, S, S]`, or `None` if no data set of this name and fingerprint is imported.
    """
    name, wanted = bundle.spec.training_data.get("name"), bundle.spec.training_data.get("fingerprint")
    spec = bundle.spec.input
    try:
        if not name or read_import(root / str(name))["fingerprint"] != wanted:
            return None
        dataset = load_dataset(
            str(name),
            root=root,
            classes=bundle.spec.classes,
            size=spec.size,
            channels=spec.channels,
            resize_filter=spec.resize_filter,
            complete=False,
            progress=False,
        )
    except DataError:
        # The pictures are optional: the comparison needs only the table.
        return None
    rows = dataset.splits["validation"]
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return np.asarray(dataset.images[chosen])
