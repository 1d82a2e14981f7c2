"""The faces that a bundle knows: its reference table, and their pictures where they are at hand."""

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
    """Read what a bundle remembers of its validation faces.

    Args:
        bundle: whose.
        columns: that have to be there; `embedding` stands for `e_0`, `e_1`, ….

    Raises:
        BundleError: if it has no reference, an unreadable one, one without these columns, or with values in them that
            are no finite numbers (words for `predicted`).
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
    """Some validation pictures of the data set that a bundle was trained on, if that is imported here.

    Args:
        bundle: whose.
        root: where data sets live.
        count: pictures at most.
        seed: of the choice.

    Returns:
        uint8 `[N, C, S, S]`, or `None` if the very same data set is not here.
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
        # Pictures are an extra: the comparison needs the table alone.
        return None
    rows = dataset.splits["validation"]
    chosen = np.random.default_rng(seed).permutation(rows)[:count]
    return np.asarray(dataset.images[chosen])
