"""An imported data set, opened: images mapped from the cache, labels and splits for the chosen classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import DataError
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data.cache import CacheKey
from mlopsproject.data.manifest import codes, column, read_import, read_manifest
from mlopsproject.data.rebuild import cached_images
from mlopsproject.data.splits import SPLITS


@dataclass(frozen=True)
class FaceDataset:
    """One data set as training and evaluation see it.

    Attributes:
        name: of the data set.
        classes: the chosen classes in output order.
        images: uint8 `[N, C, H, W]`, 0-255, one per manifest row, mapped from disk.
        labels: int64 `[N]`, index into `classes`; -1 where the class was not chosen.
        splits: row indices (int64) of the chosen classes for `train`, `validation` and `test`.
        manifest: the manifest's table, `N` rows.
        fingerprint: of the manifest.
        info: `import.json`, and under `loaded` what was chosen and counted here.
    """

    name: str
    classes: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: dict[str, NDArray[np.int64]]
    manifest: pa.Table = field(repr=False)
    fingerprint: str
    info: dict[str, Any] = field(repr=False)


def load_dataset(
    name: str,
    *,
    root: Path = Path("data"),
    classes: str | Sequence[str] = "five",
    size: int = 64,
    channels: int = 1,
    resize_filter: ResizeFilter = "bilinear",
    drop_twins: bool = False,
    complete: bool = True,
    workers: int | None = None,
    progress: bool = True,
) -> FaceDataset:
    """Open an imported data set; builds the cache from the source if there is none of this size yet.

    Args:
        name: of the data set.
        root: where data sets live.
        classes: a preset or a list; other classes are left out and counted.
        size: side of the pictures in pixels.
        channels: 1 (gray) or 3 (RGB).
        resize_filter: Pillow's filter by name.
        drop_twins: leave training images out whose twin is in validation or test.
        complete: insist on images of every chosen class in every split, as training needs.
        workers: processes for building a cache; ``None`` for one per core.
        progress: show a progress bar while building.

    Raises:
        ConfigError: unknown classes preset.
        DataError: no such data set, damaged manifest or cache, or a chosen class without images in a split.
    """
    chosen = resolve_classes(classes)
    folder = Path(root) / name
    info = read_import(folder)
    manifest = read_manifest(folder)
    key = CacheKey(info["fingerprint"], size, channels, resize_filter)
    images = cached_images(folder, info, manifest, key, workers=workers, progress=progress)
    labels = _labels(manifest, chosen)
    splits = _splits(manifest, labels, drop_twins)
    if complete:
        _require_every_class(name, chosen, labels, splits)
    kept = int(sum(len(rows) for rows in splits.values()))
    loaded = {
        "classes": list(chosen),
        "other_classes": int((labels < 0).sum()),
        "left_out": manifest.num_rows - kept,
        "drop_twins": drop_twins,
        "counts": {
            split: dict(zip(chosen, np.bincount(labels[rows], minlength=len(chosen)).tolist(), strict=True))
            for split, rows in splits.items()
        },
    }
    return FaceDataset(name, chosen, images, labels, splits, manifest, info["fingerprint"], {**info, "loaded": loaded})


def _labels(manifest: pa.Table, chosen: Sequence[str]) -> NDArray[np.int64]:
    code, names = codes(manifest, "label")
    index = {name: position for position, name in enumerate(chosen)}
    return np.asarray(np.array([index.get(name, -1) for name in names], np.int64)[code])


def _splits(manifest: pa.Table, labels: NDArray[np.int64], drop_twins: bool) -> dict[str, NDArray[np.int64]]:
    code, names = codes(manifest, "split")
    rows = {
        split: np.flatnonzero((labels >= 0) & (code == names.index(split))) if split in names else np.empty(0, np.int64)
        for split in SPLITS
    }
    if drop_twins:
        group = column(manifest, "group")
        held_out = np.concatenate([group[rows[split]] for split in SPLITS[1:]])
        rows["train"] = rows["train"][~np.isin(group[rows["train"]], held_out)]
    return rows


def _require_every_class(
    name: str, chosen: Sequence[str], labels: NDArray[np.int64], splits: dict[str, NDArray[np.int64]]
) -> None:
    for split, rows in splits.items():
        counts = np.bincount(labels[rows], minlength=len(chosen))
        missing = [label for label, count in zip(chosen, counts, strict=True) if not count]
        if missing:
            raise DataError(
                f"Data set {name!r} has no {split} images of {', '.join(missing)}.",
                "Choose other classes=, or import data that has them in every split.",
            )
