"""An imported data set, opened: images mapped from the cache, labels and splits for the chosen classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.spec import ResizeFilter
from mlopsproject.data.cache import CacheKey
from mlopsproject.data.manifest import codes, column, read_import, read_manifest
from mlopsproject.data.rebuild import cached_images
from mlopsproject.data.splits import SPLITS
from mlopsproject.data.votes import GIVEN, NO_CLASS, LabelRule, Votes, votes_of


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
        targets: the raters' distribution of the training pictures, float32 `[N, K]`, with `data.labels=votes`.
        votes: of the raters, if there are any.
        label_names: label of every image by the rule, `[N]`, whatever classes are chosen; empty where it has none.
        others: rows whose label is another class, by split.
        rule: that the labels follow.
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
    targets: NDArray[np.float32] | None = field(default=None, repr=False)
    votes: Votes | None = field(default=None, repr=False)
    label_names: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, object), repr=False)
    others: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    rule: LabelRule = GIVEN


def load_dataset(
    name: str,
    *,
    root: Path = Path("data"),
    classes: str | Sequence[str] = "five",
    size: int = 64,
    channels: int = 1,
    resize_filter: ResizeFilter = "bilinear",
    drop_twins: bool = False,
    leave_out: str | None = None,
    validate_on: str | None = None,
    rule: LabelRule = GIVEN,
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
        leave_out: a part of the training images, such as `1/3`, that is left out, twins together; see `part_of`.
        validate_on: a part of the validation images, such as `1/4`; the others are trained on too, twins together.
        rule: which label a picture has that several raters saw.
        complete: insist on images of every chosen class in every split, as training needs.
        workers: processes for building a cache; ``None`` for one per core.
        progress: show a progress bar while building.

    Raises:
        ConfigError: unknown classes preset, or what is no part.
        DataError: no such data set, damaged manifest or cache, or a chosen class without images in a split.
    """
    chosen = resolve_classes(classes)
    folder = Path(root) / name
    info = read_import(folder)
    manifest = read_manifest(folder)
    key = CacheKey(info["fingerprint"], size, channels, resize_filter)
    images = cached_images(folder, info, manifest, key, workers=workers, progress=progress)
    votes = votes_of(manifest)
    code, names = label_codes(name, manifest, votes, rule)
    labels = np.array([chosen.index(each) if each in chosen else -1 for each in names], np.int64)[code]
    targets, taught = _targets(votes, rule, chosen, labels)
    splits, everything = _splits(manifest, labels, taught, drop_twins, validate_on, rule)
    if leave_out is not None:
        groups = column(manifest, "group")[splits["train"]]
        splits["train"] = splits["train"][~in_part(groups, *part_of(leave_out))]
    if complete:
        _require_every_class(name, chosen, taught, splits)
    kept = int(sum(len(rows) for rows in splits.values()))
    loaded = {
        "classes": list(chosen),
        "other_classes": int((labels < 0).sum()),
        "left_out": manifest.num_rows - kept,
        "drop_twins": drop_twins,
        "leave_out": leave_out,
        "validate_on": validate_on,
        "rule": asdict(rule),
        "counts": {
            split: dict(zip(chosen, np.bincount(taught[rows], minlength=len(chosen)).tolist(), strict=True))
            for split, rows in splits.items()
        },
    }
    info = {**info, "loaded": loaded}
    is_other = np.array([each not in ("", *NO_CLASS, *chosen) for each in names], np.bool_)[code]
    others = {split: np.flatnonzero(inside & is_other) for split, inside in everything.items()}
    return FaceDataset(
        name,
        chosen,
        images,
        taught,
        splits,
        manifest,
        info["fingerprint"],
        info,
        targets=targets,
        votes=votes,
        label_names=names[code],
        others=others,
        rule=rule,
    )


def part_of(text: object, key: str = "data.leave_out") -> tuple[int, int]:
    """Read a part such as `1/3`: its number and how many there are.

    Args:
        text: as given.
        key: the config key it was given as, for messages.

    Raises:
        ConfigError: for anything else.
    """
    number, _, count = str(text).partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) and int(count) >= 2:
        return int(number), int(count)
    raise ConfigError(f"{key}={text} is not a part.", "Give one such as 1/3, or null.")


def in_part(groups: NDArray[np.int64], number: int, count: int) -> NDArray[np.bool_]:
    """Which images belong to a part, when their groups are dealt out at random, always in the same way.

    Args:
        groups: of the images; those of one group are never parted.
        number: of the part, from 1.
        count: of parts.
    """
    names, members = np.unique(groups, return_inverse=True)
    parts = np.random.default_rng(0).permutation(len(names)) % count
    return np.asarray(parts[members] == number - 1)


def label_codes(
    name: str, manifest: pa.Table, votes: Votes | None, rule: LabelRule
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """The label of every image by a rule.

    Args:
        name: of the data set, for the message.
        manifest: its table.
        votes: on its images, if there are any.
        rule: which label counts.

    Returns:
        int64 `[N]` indices into the labels' names, of which one is empty: that of images without a label.

    Raises:
        DataError: if the rule needs votes, and there are none.
    """
    code, names = codes(manifest, "label")
    if rule.labels != "given":
        if votes is None:
            again = job_command("import-data", "votes=FILE.csv")
            raise DataError(
                f"Data set {name!r} has no votes, which data.labels={rule.labels} needs.",
                f"Use data.labels=given, or import it with its votes: {again}",
            )
        none = len(votes.names)
        own = code + none + 1 if rule.without_votes == "given" else none
        majority = votes.majority(rule)
        code = np.where(votes.voted, np.where(majority < 0, none, majority), own)
        names = [*votes.names, "", *names]
    return code, np.array(names, object)


def _targets(
    votes: Votes | None, rule: LabelRule, chosen: Sequence[str], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64]]:
    """The raters' distribution over the chosen classes, and the class that each picture is trained as; -1 for none."""
    if rule.labels != "votes" or votes is None:
        return None, labels
    targets = votes.distribution(rule, chosen)
    if rule.without_votes == "given":
        own = ~votes.voted & (labels >= 0)
        targets[own] = np.eye(len(chosen), dtype=np.float32)[labels[own]]
    has_target = targets.sum(axis=1) > 0
    return targets, np.where(labels >= 0, labels, np.where(has_target, targets.argmax(axis=1), -1))


def _splits(
    manifest: pa.Table,
    labels: NDArray[np.int64],
    taught: NDArray[np.int64],
    drop_twins: bool,
    validate_on: str | None,
    rule: LabelRule,
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.bool_]]]:
    """The rows of each split that have a class, and which images are in which split at all."""
    code, names = codes(manifest, "split")
    inside = {split: np.asarray(code == (names.index(split) if split in names else -1)) for split in SPLITS}
    group = column(manifest, "group")
    if validate_on is not None:
        # Parts of all classes' images, so that they are the same whatever classes are chosen.
        whole = group[inside["validation"]]
        held = np.isin(group, whole[in_part(whole, *part_of(validate_on, "data.validate_on"))])
        inside["train"] = inside["train"] | (inside["validation"] & ~held)
        inside["validation"] = inside["validation"] & held
    rows = {split: np.flatnonzero(((taught if split == "train" else labels) >= 0) & inside[split]) for split in SPLITS}
    if drop_twins:
        # Of several raters' pictures also those without a majority: they are measured with, too.
        held_out = [rows[split] if rule.labels == "given" else np.flatnonzero(inside[split]) for split in SPLITS[1:]]
        rows["train"] = rows["train"][~np.isin(group[rows["train"]], group[np.concatenate(held_out)])]
    return rows, inside


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
