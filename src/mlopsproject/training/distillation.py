"""Soft labels: what trained bundles, the teachers, say to the training pictures (Hinton et al., 2015).

A label of a public data set is one annotator's choice and often wrong. The average answer of larger networks says how
likely each class is, which teaches a small network more than a hard label, and forgives wrong ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from rich.progress import track

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_flag, check_number, check_whole
from mlopsproject.core.errors import BundleError, ConfigError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import mirrored
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import open_dataset
from mlopsproject.training.augment import warp
from mlopsproject.training.module import ExpressionModule
from mlopsproject.training.online_distillation import OnlineTeachers

log = logging.getLogger(__name__)

_CHUNK = 512
Targets = NDArray[np.float32]

#: Views of a picture: degrees, right and down as fractions of the side, and zoom. The first is the picture itself.
VIEWS: Final = (
    (0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 0.0, 1.075),
    (0.0, 0.03, 0.03, 1.0),
    (0.0, -0.03, 0.03, 1.0),
    (0.0, 0.03, -0.03, 1.0),
    (0.0, -0.03, -0.03, 1.0),
    (5.0, 0.0, 0.0, 1.05),
    (-5.0, 0.0, 0.0, 1.05),
)


def check_distill(distill: Mapping[str, Any]) -> None:
    """Refuse values of the `distill` group that no run can have.

    Raises:
        ConfigError: naming the key.
    """
    check_flag("distill.unseen", distill["unseen"])
    check_flag("distill.online", distill["online"])
    check_number("distill.weight", distill["weight"], highest=1.0)
    check_whole("distill.views", distill["views"], lowest=1, highest=len(VIEWS))
    teachers = distill["teachers"]
    if not isinstance(teachers, list) or not all(isinstance(name, str) and name for name in teachers):
        raise ConfigError(
            f"distill.teachers={teachers} is not possible.", "Give a list of bundles, such as [production], or []."
        )
    if distill["online"] and (distill["unseen"] or distill["views"] != 1):
        raise ConfigError(
            "distill.online=true goes without distill.unseen and distill.views.",
            "Online teachers answer to every training picture as the network sees it.",
        )


def open_teachers(distill: Mapping[str, Any], classes: Sequence[str], *, store: str) -> list[Bundle]:
    """Open the bundles that a run learns from.

    Args:
        distill: `teachers` (names, aliases, folders or URIs) and `weight`; with a weight of 0 nobody is asked.
        classes: of the run.
        store: where names and aliases are looked up.

    Raises:
        BundleError: for a missing or damaged teacher, or one that lacks a class.
    """
    if not distill["weight"]:
        return []
    teachers = [resolve_bundle(name, store) for name in distill["teachers"]]
    for teacher in teachers:
        _columns(teacher, classes)
    return teachers


def prepare_teaching(
    settings: Mapping[str, Any], module: ExpressionModule, dataset: FaceDataset, teachers: Sequence[Bundle]
) -> Targets | None:
    """Seat online teachers beside the network; ask others now, and add what they say to the labels.

    Args:
        settings: as composed from `configs/train.yaml`.
        module: which is to be trained.
        dataset: to train on.
        teachers: from `open_teachers`.

    Returns:
        What the training pictures are taught, float32 `[N, K]`, one row per image of the data set; `None` for their
        labels.

    Raises:
        UserError: for a teacher that cannot teach this run.
    """
    distill = settings["distill"]
    if distill["online"] and teachers:
        module.teachers = OnlineTeachers(teachers, dataset.classes, module.input_spec)
        teachers = ()
    answers = soft_targets(
        teachers,
        settings["data"],
        dataset,
        views=distill["views"],
        unseen=distill["unseen"],
        threads=torch.get_num_threads(),
        progress=bool(settings["trainer"]["progress"]),
    )
    return _blend(dataset, answers, float(distill["weight"]), float(settings["optim"]["label_smoothing"]))


def _blend(dataset: FaceDataset, answers: Targets | None, weight: float, smoothing: float) -> Targets | None:
    """The raters' distribution or the smoothed label of each training picture, mixed with the teachers' answers."""
    if answers is None and dataset.targets is None:
        return None
    rows, count = dataset.splits["train"], len(dataset.classes)
    hard = np.eye(count, dtype=np.float32)
    own = dataset.targets[rows] if dataset.targets is not None else hard[dataset.labels[rows]]
    own = own * (1 - smoothing) + smoothing / count
    targets = np.zeros((len(dataset.labels), count), np.float32)
    targets[rows] = own if answers is None else (1 - weight) * own + weight * answers[rows]
    return targets


def soft_targets(
    teachers: Sequence[Bundle],
    data: Mapping[str, Any],
    dataset: FaceDataset,
    *,
    views: int = 1,
    unseen: bool = False,
    threads: int = 1,
    progress: bool = True,
) -> Targets | None:
    """Ask teachers about every training picture and its mirror image, in one view or several.

    Args:
        teachers: from `open_teachers`.
        data: the config's `data` group, to open the data set at a teacher's input size.
        dataset: to train on.
        views: how many of `VIEWS` a teacher's answer is the mean of.
        unseen: ask a teacher only about pictures that it was not trained on: of the others it knows the label by heart,
            also where it is wrong.
        threads: CPU threads.
        progress: show a progress bar.

    Returns:
        The teachers' mean calibrated probabilities, float32 `[N, K]`, one row per image of the data set (0 outside the
        training split), or ``None`` without teachers.

    Raises:
        ConfigError: if `unseen` leaves a picture without a teacher.
    """
    if not teachers:
        return None
    targets = np.zeros((len(dataset.labels), len(dataset.classes)), np.float32)
    asked = np.zeros(len(dataset.labels), np.int64)
    for bundle in teachers:
        teacher, columns = Predictor(bundle, "fp32", threads=threads), _columns(bundle, dataset.classes)
        seen = open_dataset(data, bundle.spec.input, classes=dataset.classes)
        rows = _unseen(bundle, dataset) if unseen else dataset.splits["train"]
        asked[rows] += 1
        right = 0
        for start in track(range(0, len(rows), _CHUNK), "Asking teachers", transient=True, disable=not progress):
            part = rows[start : start + _CHUNK]
            answers = _answers(teacher, np.asarray(seen.images[part]), columns, views)
            targets[part] += answers
            right += int((answers.argmax(axis=1) == dataset.labels[part]).sum())
        share = 100 * right / max(1, len(rows))
        log.info("Teacher %s agrees with %.1f %% of %s training labels", bundle.name, share, f"{len(rows):,}")
    alone = int((asked[dataset.splits["train"]] == 0).sum())
    if alone:
        raise ConfigError(
            f"distill.unseen=true: {alone:,} training pictures were seen by all teachers.",
            "Name a teacher for each part: data.leave_out=1/3, 2/3 and 3/3.",
        )
    targets /= np.maximum(asked, 1)[:, None]
    return targets


def _unseen(teacher: Bundle, dataset: FaceDataset) -> NDArray[np.int64]:
    """Training images that neither the teacher nor those it learnt from were trained on."""
    known = pq.read_table(teacher.file("train_hashes.parquet"), columns=["pixel_hash"])["pixel_hash"]
    rows = dataset.splits["train"]
    hashes = dataset.manifest["pixel_hash"].take(pa.array(rows))
    return np.asarray(rows[~np.asarray(pc.is_in(hashes, value_set=known.combine_chunks()))])


def _columns(teacher: Bundle, classes: Sequence[str]) -> list[int]:
    """Where a teacher has the classes of the run."""
    known = list(teacher.spec.classes)
    missing = [name for name in classes if name not in known]
    if missing:
        raise BundleError(
            f"distill.teachers: {teacher.name} does not know {', '.join(missing)}.", f"It knows {', '.join(known)}."
        )
    return [known.index(name) for name in classes]


def _answers(teacher: Predictor, images: NDArray[np.uint8], columns: list[int], views: int) -> Targets:
    """Calibrated probabilities of some of a teacher's classes, for the mean logits of all views and mirror images."""
    upright = [_seen_as(images, *view) for view in VIEWS[:views]]
    seen = [*upright, *map(mirrored, upright)]
    logits: Targets = np.mean([teacher.logits(view)[0] for view in seen], axis=0, dtype=np.float32)
    # Without the other classes the rest must add up to 1 again: a softmax over fewer logits.
    return teacher.probabilities(logits[:, columns]).astype(np.float32)


def _seen_as(images: NDArray[np.uint8], degrees: float, right: float, down: float, zoom: float) -> NDArray[np.uint8]:
    """Pictures turned, shifted and magnified, uint8 `[N, C, H, W]`."""
    if (degrees, right, down, zoom) == VIEWS[0]:
        return images
    pictures = warp(torch.from_numpy(images.astype(np.float32)), degrees=degrees, right=right, down=down, zoom=zoom)
    return pictures.round_().clamp_(0, 255).to(torch.uint8).numpy()
