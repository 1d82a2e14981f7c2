"""Reads the current faces of a drift run: from a folder, an imported data set or the prediction log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlopsproject.core.batch_scoring import read_faces
from mlopsproject.core.errors import ConfigError, DataError, nearest
from mlopsproject.core.face_inputs import FaceInputs, FacesWanted
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.picture_sources import find_pictures, is_url
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.manifest import known_datasets
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.evaluator import SPLITS
from mlopsproject.evaluation.reference import describe_faces
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import labelled_rows, sample_rows

log = logging.getLogger(__name__)

LOG: Final = "log"
DATASET_PREFIX: Final = "dataset:"
#: Rows with equal values in these columns are taken for the same picture.
_SAME_PICTURE: Final = [*STATISTICS, "confidence", "width", "height"]


@dataclass(frozen=True)
class Current:
    """Faces to compare with a reference.

    Attributes:
        source: kind of the source.
        table: a row per distinct face: `brightness, contrast, sharpness, width, height, predicted, confidence`, of
            pictures also `p_<class>` and the embedding `e_0, …`.
        repeated: number of repetitions that were left out.
        labelled: `predicted`, `confidence` and `label` of the labelled faces; `None` if the source has no labels.
        unlabelled: `predicted` and `confidence` of the others; `None` except for the log.
        pictures: some of the faces, uint8 `[N, C, S, S]`; `None` for the log, which has none.
        unusable: reason → number of pictures that could not be used.
    """

    source: Literal["log", "pictures", "dataset"]
    table: pd.DataFrame
    repeated: int
    labelled: pd.DataFrame | None = None
    unlabelled: pd.DataFrame | None = None
    pictures: NDArray[np.uint8] | None = None
    unusable: dict[str, int] = field(default_factory=dict)


def is_dataset(current: str, root: Path) -> bool:
    """Whether `current=` names an imported data set: with the prefix, or if there is no path of that name.

    Raises:
        DataError: if it names neither a path nor a data set.
    """
    if current.startswith(DATASET_PREFIX):
        return True
    if is_url(current) or _is_there(current):
        return False
    known = known_datasets(root)
    if current in known:
        return True
    hint = nearest(current, [LOG, *known, *(item.name for item in Path().iterdir())])
    raise DataError(
        f"current={current} is neither a path nor an imported data set{'; ' + hint if hint else '.'}",
        f"Give a folder of pictures, {DATASET_PREFIX}NAME or {LOG}.",
    )


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long for any file
        return False


def from_pictures(
    source: str, predictor: Predictor, faces: FacesWanted, *, shown: int, seed: int, progress: bool
) -> Current:
    """Read the pictures of a folder or list.

    Args:
        source: see `picture_sources.find_pictures`.
        predictor: of the bundle.
        faces: `none` takes each picture as one face; otherwise pictures without a detected face are left out.
        shown: number of pictures to keep.
        seed: of their random choice.
        progress: show a progress bar.

    Raises:
        DataError: if there is no picture that can be used, or no face is found.
    """
    unusable: Counter[str] = Counter()
    inputs: list[NDArray[np.uint8]] = []
    sizes: list[tuple[int, int]] = []
    spec = predictor.spec.input
    finder = None if faces == "none" else FaceFinder()
    for batch in read_faces(lambda: find_pictures(source), spec, faces=faces, finder=finder, progress=progress):
        for _, found in batch:
            if not isinstance(found, FaceInputs):
                unusable[found.reason] += 1
            elif found.search == "not_found":
                unusable["no_face"] += 1
            else:
                inputs.append(found.inputs)
                sizes += [box[2:] if box is not None else found.size for box in found.boxes]
    if not inputs:
        raise _nothing_usable(source, unusable)
    images = np.concatenate(inputs)
    width, height = np.asarray(sizes).T
    columns = describe_faces(predictor, images, np.arange(len(images)), width, height)
    table, repeated = _distinct(pd.DataFrame(columns))
    return Current("pictures", table, repeated, pictures=_some(images, table, shown, seed), unusable=dict(unusable))


def from_dataset(
    name: str, split: str, data: dict[str, Any], predictor: Predictor, *, shown: int, seed: int
) -> Current:
    """Read the faces of an imported data set that are of the bundle's classes, with their labels.

    Args:
        name: of the data set.
        split: `train`, `validation`, `test` or `all`.
        data: the config's `data` group.
        predictor: of the bundle.
        shown: number of pictures to keep.
        seed: of their random choice.

    Raises:
        UserError: if there is no such data set, or it has no such face.
    """
    classes = predictor.spec.classes
    dataset = open_dataset({**data, "name": name}, predictor.spec.input, classes=classes, complete=False)
    rows = np.sort(np.concatenate([dataset.splits[part] for part in (SPLITS if split == "all" else [split])]))
    if not len(rows):
        raise DataError(f"Data set {name!r} has no faces of {', '.join(classes)} in split={split}.")
    others = dataset.info["loaded"]["other_classes"]
    if others:
        log.info(
            "%d images of %s show classes that %s does not know; they do not count",
            others,
            name,
            predictor.model_version,
        )
    full = _describe_dataset(dataset, rows, predictor)
    table, repeated = _distinct(full)
    labelled = table[["predicted", "confidence"]].assign(label=np.asarray(classes)[dataset.labels[rows[table.index]]])
    shown_rows = rows[_choice(table, shown, seed)]
    pictures = np.asarray(dataset.images[np.sort(shown_rows)])
    return Current("dataset", table, repeated, labelled=labelled, pictures=pictures)


def from_log(
    database: Database,
    model_version: str,
    since: datetime | None,
    until: datetime | None,
    *,
    limit: int,
    columns: Sequence[str],
) -> Current:
    """Read the answers of one model from the prediction log.

    Args:
        database: of the log.
        model_version: name of the bundle that answered.
        since: beginning, with a time zone; `None` for no limit.
        until: end, exclusive; `None` for no limit.
        limit: largest number of rows.
        columns: that are needed; probabilities are read only if one of them begins with `p_`.

    Raises:
        DataError: if there is no such row.
        LogUnavailable: if the database cannot be queried.
    """
    with_probabilities = any(name.startswith("p_") for name in columns)
    rows = pd.DataFrame(sample_rows(database, model_version, since, until, limit, probabilities=with_probabilities))
    labelled = pd.DataFrame(labelled_rows(database, model_version, since, until, limit))
    for table in (rows, labelled):
        for side in ("width", "height"):
            # The reference has the sizes of faces, not of the photographs that contain them.
            table[side] = table.pop(f"box_{side}").fillna(table[side]).astype(float)
    if with_probabilities:
        found = pd.DataFrame(rows.pop("probabilities").tolist(), index=rows.index)
        rows = rows.join(found.add_prefix("p_"))
    unlabelled, _ = _distinct(rows[rows["label"].isna()])
    different, repeated = _distinct(rows.drop(columns="label"))
    return Current("log", different, repeated, labelled=_distinct(labelled)[0], unlabelled=unlabelled)


def _describe_dataset(dataset: FaceDataset, rows: NDArray[np.int64], predictor: Predictor) -> pd.DataFrame:
    sizes = (dataset.manifest[name].to_numpy()[rows] for name in ("width", "height"))
    return pd.DataFrame(describe_faces(predictor, dataset.images, rows, *sizes))


def _distinct(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The distinct faces of a table, and the number of repetitions: statistical tests assume independent rows."""
    different = table[~table.duplicated(_SAME_PICTURE)]
    return different, len(table) - len(different)


def _choice(table: pd.DataFrame, count: int, seed: int) -> NDArray[np.int64]:
    chosen = np.random.default_rng(seed).permutation(table.index.to_numpy(np.int64))[:count]
    return np.sort(chosen)


def _some(images: NDArray[np.uint8], table: pd.DataFrame, count: int, seed: int) -> NDArray[np.uint8]:
    return images[_choice(table, count, seed)]


def _nothing_usable(source: str, unusable: Counter[str]) -> DataError:
    if not unusable:
        return DataError(f"current={source} holds no picture.", "Give a folder with pictures of faces.")
    reasons = ", ".join(f"{count} {reason}" for reason, count in unusable.most_common())
    return DataError(f"current={source} holds no face that can be used ({reasons}).", "Give pictures of faces.")


def check_source(current: object, split: object) -> str:
    """Check the values of `current=` and `split=`.

    Raises:
        ConfigError: naming the key.
    """
    if not isinstance(current, str) or not current or current == DATASET_PREFIX:
        raise ConfigError(f"current={current} is not possible.", f"Give a folder, {DATASET_PREFIX}NAME or {LOG}.")
    if split not in (*SPLITS, "all"):
        raise ConfigError(f"split={split} is unknown.", f"Known: {', '.join((*SPLITS, 'all'))}.")
    return current
