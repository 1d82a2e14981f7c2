"""From the examined rows to the manifest: twins, splits, label conflicts, flags and the figures that describe them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.data.arrow import arrow_array
from mlopsproject.data.duplicates import MIN_CORRELATION, Twins, find_twins
from mlopsproject.data.manifest import SCHEMA, codes, column
from mlopsproject.data.splits import SPLITS, assign_splits, extend_splits
from mlopsproject.data.staging import EXCLUDED, THUMBNAILS, Staging
from mlopsproject.data.thumbnails import ThumbnailFile

CONFLICT_POLICIES: Final = ("drop", "keep", "majority")

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


def assemble_manifest(
    staging: Staging,
    *,
    split: str,
    conflicts: str,
    seed: int,
    twins: str = "hashes",
    twin_correlation: float = MIN_CORRELATION,
    kept: Mapping[str, str] | None = None,
    votes: Mapping[str, str] | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """Build the manifest from a finished examination.

    Args:
        staging: holds the examined rows and thumbnails.
        split: `grouped` or `official`.
        conflicts: `drop`, `keep` or `majority`; touches training images only.
        seed: of the split.
        twins: how near twins are searched for, `hashes` or `all_pairs`.
        twin_correlation: that near twins must reach.
        kept: splits of images that have one already, by path; only the others are drawn, see `splits.extend_splits`.
        votes: of raters, by path, as JSON.

    Returns:
        The manifest, and the figures for `import.json`.
    """
    rows = pa.Table.from_batches(staging.row_batches()).combine_chunks()
    labels, _ = codes(rows, "label")
    hashes = np.array(rows.column("pixel_hash").to_pylist(), "S16")
    found = find_twins(
        hashes,
        column(rows, "perceptual_hash"),
        column(rows, "mirrored_hash"),
        ThumbnailFile(staging.folder / THUMBNAILS),
        search=twins,
        correlation=twin_correlation,
    )
    if kept is None:
        source_split, source_names = codes(rows, "source_split")
        splits = assign_splits(split, labels, found.group, np.array(source_names, "U10")[source_split], seed)
    else:
        known = np.array([kept.get(path, "") for path in rows.column("path").to_pylist()], "U10")
        splits = extend_splits(labels, found.group, known, seed)
    conflicting = conflicting_labels(found.exact, labels)
    dropped = conflicting & _outvoted(conflicts, found.exact, labels) & (splits == "train")
    splits = np.where(dropped, "", splits)
    flags = {
        "exact_duplicate": np.bincount(found.exact)[found.exact] > 1,
        "near_duplicate": np.bincount(found.group)[found.group] > np.bincount(found.exact)[found.exact],
        "conflicting_label": conflicting,
        "dropped_conflict": dropped,
        "twin_in_train": _twin_in(found.group, splits == "train") & np.isin(splits, SPLITS[1:]),
        "twin_in_evaluation": _twin_in(found.group, np.isin(splits, SPLITS[1:])) & (splits == "train"),
    }
    columns = {
        **{name: rows.column(name) for name in SCHEMA.names if name in rows.column_names},
        "split": arrow_array(splits, pa.string()),
        "pixel_hash": arrow_array([value.hex() for value in rows.column("pixel_hash").to_pylist()], pa.string()),
        "group": arrow_array(found.group, pa.int64()),
        "flags": _join_flags(flags),
        "votes": arrow_array([(votes or {}).get(path, "") for path in rows.column("path").to_pylist()], pa.string()),
    }
    manifest = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    return manifest, _figures(staging.folder / EXCLUDED, manifest, found, flags, conflicts)


def conflicting_labels(exact: Indices, labels: Indices) -> Mask:
    """Mark images that exist elsewhere pixel by pixel under another label.

    Args:
        exact: int64 `[N]`, equal for exact duplicates, 0 ... G-1.
        labels: int64 `[N]`.

    Returns:
        bool `[N]`.
    """
    lowest = np.full(int(exact.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    highest = np.full(len(lowest), -1)
    np.minimum.at(lowest, exact, labels)
    np.maximum.at(highest, exact, labels)
    return np.asarray((lowest != highest)[exact])


def _outvoted(policy: str, exact: Indices, labels: Indices) -> Mask:
    """Mark the images that a policy drops if their label is in conflict; a tie has no majority."""
    if policy != "majority":
        return np.full(len(labels), policy == "drop")
    votes = np.zeros((int(exact.max(initial=-1)) + 1, int(labels.max(initial=0)) + 1), np.int32)
    np.add.at(votes, (exact, labels), 1)
    ranked = np.sort(votes, axis=1)
    tie = ranked[:, -1] == ranked[:, -2] if votes.shape[1] > 1 else np.zeros(len(votes), np.bool_)
    return np.asarray(tie[exact] | (labels != votes.argmax(axis=1)[exact]))


def _twin_in(group: Indices, members: Mask) -> Mask:
    """Mark images whose group has a member among `members`."""
    present = np.zeros(int(group.max(initial=-1)) + 1, np.bool_)
    present[group[members]] = True
    return present[group]


def _join_flags(flags: dict[str, Mask]) -> pa.Array:
    """Join the names of the flags that are set; few combinations occur, so each is spelled once."""
    weights = np.int32(1) << np.arange(len(flags), dtype=np.int32)
    combination = np.stack(list(flags.values()), axis=1) @ weights
    names = list(flags)
    spelled = [",".join(name for bit, name in enumerate(names) if code >> bit & 1) for code in range(1 << len(names))]
    indices, dictionary = arrow_array(combination, pa.int32()), arrow_array(spelled, pa.string())
    return pa.DictionaryArray.from_arrays(indices, dictionary).cast(pa.string())


def _figures(excluded: Path, manifest: pa.Table, twins: Twins, flags: dict[str, Mask], policy: str) -> dict[str, Any]:
    """Count what a user wants to know about the import."""
    splits, split_names = codes(manifest, "split")
    labels, label_names = codes(manifest, "label")
    counts = Counter(zip(splits.tolist(), labels.tolist(), strict=True))
    by_split: dict[str, dict[str, int]] = {name: {} for name in SPLITS}
    for (split, label), number in sorted(counts.items(), key=lambda item: label_names[item[0][1]]):
        if split_names[split]:
            by_split[split_names[split]][label_names[label]] = number
    with excluded.open(encoding="utf-8", newline="") as file:
        reasons = Counter(row["reason"] for row in csv.DictReader(file))
    exact_sizes, group_sizes = np.bincount(twins.exact), np.bincount(twins.group)
    names = np.array(split_names, "U10")[splits]
    return {
        "excluded": dict(sorted(reasons.items())),
        "splits": by_split,
        "twins": {
            "exact_groups": int((exact_sizes > 1).sum()),
            "exact_images": int(exact_sizes[exact_sizes > 1].sum()),
            "groups": int((group_sizes > 1).sum()),
            "images": int(group_sizes[group_sizes > 1].sum()),
            "largest_group": int(group_sizes.max(initial=0)),
            "complete": twins.complete,
            "with_twin_in_train": {name: int(flags["twin_in_train"][names == name].sum()) for name in SPLITS[1:]},
            "train_with_twin_in_evaluation": int(flags["twin_in_evaluation"].sum()),
        },
        "conflicts": {
            "policy": policy,
            "groups": len(np.unique(twins.exact[flags["conflicting_label"]])),
            "images": int(flags["conflicting_label"].sum()),
            "dropped_from_train": int(flags["dropped_conflict"].sum()),
        },
    }
