"""Finds evaluation images that are twins (exact or near duplicates) of a bundle's training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlopsproject.data.duplicates import MAX_DISTANCE, close_pairs

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TrainingTwins:
    """Which images are twins of training images.

    Attributes:
        exact: bool ``[N]``, exact duplicates: a training image has the same pixels.
        near: bool ``[N]``, near or exact duplicates.
        foreign: number of training images that are not in this data set, of which only the hashes are known.
    """

    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]
    foreign: int


def find_training_twins(manifest: pa.Table, rows: NDArray[np.int64], train: pa.Table) -> TrainingTwins:
    """Find images that are duplicates of training images.

    For training images in the manifest, near duplicates were confirmed at the import by comparing pixels: they have
    the same `group`. Of others only hashes are known, and a perceptual hash within 8 bits counts as near duplicate.
    This overestimates: on FER2013 it flags 20 % of a test split; comparing pixels confirms 11 %.

    Args:
        manifest: with columns `pixel_hash`, `perceptual_hash`, `group`.
        rows: int64 ``[N]``, the manifest rows to check.
        train: the bundle's `train_hashes.parquet`, with columns `pixel_hash`, `perceptual_hash`.
    """
    import pyarrow.compute as pc

    seen = _numpy(pc.is_in(manifest["pixel_hash"], value_set=_combined(train, "pixel_hash"))).astype(bool)
    group = _numpy(manifest["group"])
    near = np.isin(group[rows], np.unique(group[seen]))
    known = _numpy(pc.is_in(train["pixel_hash"], value_set=_combined(manifest, "pixel_hash"))).astype(bool)
    foreign = np.unique(_numpy(train["perceptual_hash"]).astype(np.uint64)[~known])
    if len(foreign) and len(rows):
        hashes = _numpy(manifest["perceptual_hash"]).astype(np.uint64)[rows]
        unique, inverse = np.unique(hashes, return_inverse=True)
        alike = np.zeros(len(unique), dtype=bool)
        for left, _ in close_pairs(unique, foreign):
            alike[left] = True
        near = near | alike[inverse]
    return TrainingTwins(exact=seen[rows], near=near | seen[rows], foreign=int((~known).sum()))


def twin_rule(twins: TrainingTwins) -> str:
    """Describe how near twins were found, for reports and model cards."""
    confirmed = "confirmed by comparing the pictures"
    if not twins.foreign:
        return f"near twins are {confirmed}"
    return f"near twins are {confirmed}, or have a perceptual hash within {MAX_DISTANCE} bits of a training image"


def _combined(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks()


def _numpy(column: Any) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy()
    return values
