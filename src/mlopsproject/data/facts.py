"""What there is to know about a data set, as plain numbers: the content of the data report."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlopsproject.core.errors import DataError
from mlopsproject.core.image_statistics import STATISTICS, image_statistics
from mlopsproject.data.cache import CacheKey
from mlopsproject.data.manifest import EXCLUDED_FILE, codes, column, read_import, read_manifest
from mlopsproject.data.rebuild import cached_images
from mlopsproject.data.splits import SPLITS
from mlopsproject.data.votes import rater_facts

#: Share of images that an ordinary random split trains on.
_RANDOM_TRAIN_SHARE: Final = 0.8
_EXAMPLES: Final = 24
_BLOCK: Final = 2048
_BINS: Final = 40

#: Which images deserve a look: (statistic, limit, whether values above it are suspect).
SUSPECT_LIMITS: Final[dict[str, tuple[str, float, bool]]] = {
    "very_dark": ("brightness", 0.12, False),
    "very_bright": ("brightness", 0.88, True),
    "low_contrast": ("contrast", 0.06, False),
    "blurry": ("sharpness", 0.02, False),
}

Indices = NDArray[np.int64]


def dataset_facts(name: str, root: Path = Path("data"), *, sample: int = 50_000, seed: int = 0) -> dict[str, Any]:
    """Gather the facts of an imported data set.

    Rows are row indices of the manifest, which are also those of the images from `dataset_images`.

    Args:
        name: of the data set.
        root: where data sets live.
        sample: measure brightness, contrast and sharpness on at most this many images.
        seed: of that sample.

    Returns:
        A dictionary that JSON can hold:

        - `name`, `files`, `rows`, `fingerprint`, `source` (as given), `options` (of the import).
        - `class_balance`: `{split: {class: images}}`; `dropped` holds conflict images left out of training.
        - `source_balance`: `{published split or "none": {class: images}}`.
        - `excluded`: `{reason: files}`; `excluded_examples`: `{reason: [{path, detail}, ...]}`, at most 24 each.
        - `duplicates`: `exact_groups`, `exact_images` (in those groups), `groups`, `images` (exact, near and mirrored),
          `complete` (whether the search looked at everything), `group_sizes`: `{size: groups}` for groups above 1,
          `examples`: rows of up to 24 groups that hold near twins, largest first.
        - `largest_group`: `size`, `rows` (at most 24), `labels`: `{class: images}`.
        - `conflicts`: `policy`, `groups`, `images`, `dropped_from_train`, `pairs`: `[{classes: [a, b], groups}]`,
          `examples`: rows of up to 24 groups.
        - `leakage`: `used` (the splits in use) and `published` (the source's own, `null` without them) give for
          `validation` and `test` `{images, exact_twins, twins, exact_share, twin_share}`, twins being in train;
          `random_split` gives `exact_share` and `twin_share`: the expected share of test images whose twin a random
          80/10/10 split would have put into training.
        - `sizes`: `[{width, height, images}]`, the 24 commonest; `width`, `height`: `{min, median, max}`;
          `modes`: `{Pillow mode: images}`.
        - `statistics`: for `brightness`, `contrast`, `sharpness` `{mean, std, percentiles: {1, 5, 25, 50, 75, 95, 99},
          histogram: {edges, counts}}`; `statistics_images`: how many were measured.
        - `raters`: what several raters said, see `votes.rater_facts`; ``None`` without votes.
        - `suspects`: for each kind in `SUSPECT_LIMITS` `{count, rows}`: among the measured images, worst first.

    Raises:
        DataError: no such data set, or it is damaged.
    """
    folder = Path(root) / name
    info = read_import(folder)
    manifest = read_manifest(folder)
    exact, group = codes(manifest, "pixel_hash")[0], column(manifest, "group")
    labels, label_names = codes(manifest, "label")
    excluded, examples = _excluded(folder / EXCLUDED_FILE)
    return {
        "name": name,
        "files": info["files"],
        "rows": manifest.num_rows,
        "fingerprint": info["fingerprint"],
        "source": info["source"]["given"],
        "options": info["options"],
        "class_balance": _balance(manifest, "split", "dropped"),
        "source_balance": _balance(manifest, "source_split", "none"),
        "excluded": excluded,
        "excluded_examples": examples,
        "duplicates": _duplicates(info, exact, group),
        "largest_group": _largest_group(group, labels, label_names),
        "conflicts": {**info["conflicts"], **_conflicts(exact, labels, label_names)},
        "raters": rater_facts(manifest, examples=_EXAMPLES),
        "leakage": _leakage(manifest, exact, group),
        **_shapes(manifest),
        **_appearance(dataset_images(name, root), sample, seed),
    }


def dataset_images(name: str, root: Path = Path("data")) -> NDArray[np.uint8]:
    """Open the images as cached by the import; a cache that is gone is built again from the source.

    Returns:
        uint8 `[N, C, H, W]`, one per manifest row, mapped from disk.

    Raises:
        DataError: no such data set, its cache is damaged, or it is gone and so is the source.
    """
    folder = Path(root) / name
    info = read_import(folder)
    options = info["options"]
    key = CacheKey(info["fingerprint"], options["size"], options["channels"], options["resize_filter"])
    return cached_images(folder, info, read_manifest(folder), key)


def _balance(manifest: pa.Table, by: str, empty: str) -> dict[str, dict[str, int]]:
    parts, part_names = codes(manifest, by)
    labels, label_names = codes(manifest, "label")
    table = np.zeros((len(part_names), len(label_names)), np.int64)
    np.add.at(table, (parts, labels), 1)
    ordered = [name for name in (*SPLITS, "") if name in part_names]
    return {
        name or empty: {
            label: int(table[part_names.index(name), label_names.index(label)]) for label in sorted(label_names)
        }
        for name in ordered
    }


def _excluded(path: Path) -> tuple[dict[str, int], dict[str, list[dict[str, str]]]]:
    counts: Counter[str] = Counter()
    examples: dict[str, list[dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                counts[row["reason"]] += 1
                listed = examples.setdefault(row["reason"], [])
                if len(listed) < _EXAMPLES:
                    listed.append({"path": row["path"], "detail": row["detail"]})
    except (OSError, ValueError, KeyError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{path} is missing or damaged ({reason}).", f"Delete {path.parent} and import it again."
        ) from error
    return dict(counts.most_common()), examples


def _duplicates(info: dict[str, Any], exact: Indices, group: Indices) -> dict[str, Any]:
    sizes = np.bincount(group)
    different = np.bincount(group[np.unique(exact, return_index=True)[1]], minlength=len(sizes))
    near = np.flatnonzero(different > 1)
    near = near[np.argsort(-different[near], kind="stable")][:_EXAMPLES]
    spread = Counter(sizes[sizes > 1].tolist())
    names = ("exact_groups", "exact_images", "groups", "images", "complete")
    return {
        **{name: info["twins"][name] for name in names},
        "group_sizes": {str(size): spread[size] for size in sorted(spread)},
        "examples": [_members(group, int(number)) for number in near],
    }


def _largest_group(group: Indices, labels: Indices, label_names: list[str]) -> dict[str, Any]:
    largest = int(np.bincount(group).argmax())
    rows = np.flatnonzero(group == largest)
    return {
        "size": len(rows),
        "rows": rows[:_EXAMPLES].tolist(),
        "labels": dict(Counter(label_names[label] for label in labels[rows]).most_common()),
    }


def _conflicts(exact: Indices, labels: Indices, label_names: list[str]) -> dict[str, Any]:
    cells = np.unique(np.stack([exact, labels], axis=1), axis=0)
    groups, first, count = np.unique(cells[:, 0], return_index=True, return_counts=True)
    pairs: Counter[tuple[str, ...]] = Counter()
    for start, number in zip(first[count > 1], count[count > 1], strict=True):
        pairs[tuple(sorted(label_names[label] for label in cells[start : start + number, 1]))] += 1
    return {
        "pairs": [{"classes": list(classes), "groups": number} for classes, number in pairs.most_common()],
        "examples": [_members(exact, number) for number in groups[count > 1][:_EXAMPLES]],
    }


def _members(group: Indices, number: int) -> list[int]:
    rows: list[int] = np.flatnonzero(group == number)[:_EXAMPLES].tolist()
    return rows


def _leakage(manifest: pa.Table, exact: Indices, group: Indices) -> dict[str, Any]:
    used = _named(manifest, "split")
    published = _named(manifest, "source_split")
    return {
        "used": _split_leakage(used, exact, group),
        "published": _split_leakage(published, exact, group) if (published == "train").any() else None,
        "random_split": {"exact_share": _random_leakage(exact), "twin_share": _random_leakage(group)},
    }


def _split_leakage(splits: NDArray[np.str_], exact: Indices, group: Indices) -> dict[str, dict[str, float]]:
    train = splits == "train"
    result = {}
    for name in SPLITS[1:]:
        rows = splits == name
        images = int(rows.sum())
        same = int(np.isin(exact[rows], exact[train]).sum())
        alike = int(np.isin(group[rows], group[train]).sum())
        result[name] = {
            "images": images,
            "exact_twins": same,
            "twins": alike,
            "exact_share": same / max(images, 1),
            "twin_share": alike / max(images, 1),
        }
    return result


def _random_leakage(group: Indices) -> float:
    """Expected share of test images with a twin in train: each other member of the group lands there with p = 0.8."""
    others = np.bincount(group)[group] - 1
    return float(np.mean(1 - (1 - _RANDOM_TRAIN_SHARE) ** others)) if len(group) else 0.0


def _named(manifest: pa.Table, name: str) -> NDArray[np.str_]:
    code, names = codes(manifest, name)
    return np.asarray(np.array(names, "U10")[code])


def _shapes(manifest: pa.Table) -> dict[str, Any]:
    width, height = column(manifest, "width"), column(manifest, "height")
    pairs, count = np.unique(np.stack([width, height], axis=1), axis=0, return_counts=True)
    commonest = np.argsort(-count, kind="stable")[:_EXAMPLES]
    code, names = codes(manifest, "mode")
    modes = Counter(dict(zip(names, np.bincount(code, minlength=len(names)).tolist(), strict=True)))
    return {
        "sizes": [{"width": int(pairs[i, 0]), "height": int(pairs[i, 1]), "images": int(count[i])} for i in commonest],
        "width": _range(width),
        "height": _range(height),
        "modes": dict(modes.most_common()),
    }


def _range(values: NDArray[np.int64]) -> dict[str, float]:
    return {"min": int(values.min()), "median": float(np.median(values)), "max": int(values.max())}


def _appearance(images: NDArray[np.uint8], sample: int, seed: int) -> dict[str, Any]:
    rows = np.arange(len(images))
    if len(rows) > sample:
        rows = np.sort(np.random.default_rng(seed).choice(rows, sample, replace=False))
    blocks = [image_statistics(images[rows[start : start + _BLOCK]]) for start in range(0, len(rows), _BLOCK)]
    values = {name: np.concatenate([block[name] for block in blocks]) for name in STATISTICS}
    suspects = {}
    for kind, (name, limit, above) in SUSPECT_LIMITS.items():
        badness = values[name] - limit if above else limit - values[name]
        found = np.flatnonzero(badness > 0)
        worst = found[np.argsort(-badness[found], kind="stable")][:_EXAMPLES]
        suspects[kind] = {"count": len(found), "rows": rows[worst].tolist()}
    return {
        "statistics": {name: _summary(values[name]) for name in STATISTICS},
        "statistics_images": len(rows),
        "suspects": suspects,
    }


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    counts, edges = np.histogram(values, bins=_BINS)
    points = (1, 5, 25, 50, 75, 95, 99)
    return {
        "mean": float(values.mean()),
        "std": float(values.std()),
        "percentiles": dict(zip(map(str, points), np.percentile(values, points).tolist(), strict=True)),
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }
