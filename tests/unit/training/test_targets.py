"""What training pictures are taught: smoothed labels, raters' distributions, teachers' answers, and their mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlopsproject.data.dataset import FaceDataset
from mlopsproject.training.distillation import _blend
from mlopsproject.training.module import class_shares


@pytest.fixture
def voted(random_dataset: FaceDataset) -> FaceDataset:
    """The data set with a distribution for every picture."""
    shares = np.random.default_rng(0).dirichlet(np.ones(len(random_dataset.classes)), len(random_dataset.labels))
    return replace(random_dataset, targets=shares.astype(np.float32))


def test_labels_alone_need_no_targets(random_dataset: FaceDataset) -> None:
    assert _blend(random_dataset, None, 0.5, 0.1) is None


def test_teachers_share_with_the_smoothed_label(random_dataset: FaceDataset) -> None:
    rows, count = random_dataset.splits["train"], len(random_dataset.classes)
    answers = np.full((len(random_dataset.labels), count), 1 / count, np.float32)
    targets = _blend(random_dataset, answers, 0.25, 0.1)
    assert targets is not None
    hard = np.eye(count)[random_dataset.labels[rows]] * 0.9 + 0.1 / count
    np.testing.assert_allclose(targets[rows], 0.75 * hard + 0.25 / count, atol=1e-6)
    outside = np.setdiff1d(np.arange(len(targets)), rows)
    assert not targets[outside].any()


def test_raters_take_the_place_of_the_label(voted: FaceDataset) -> None:
    rows, count = voted.splits["train"], len(voted.classes)
    assert voted.targets is not None
    targets = _blend(voted, None, 0.7, 0.0)
    assert targets is not None
    np.testing.assert_allclose(targets[rows], voted.targets[rows], atol=1e-6)
    answers = np.full((len(voted.labels), count), 1 / count, np.float32)
    mixed = _blend(voted, answers, 0.5, 0.2)
    assert mixed is not None
    wanted = 0.5 * (0.8 * voted.targets[rows] + 0.2 / count) + 0.5 / count
    np.testing.assert_allclose(mixed[rows], wanted, atol=1e-6)


def test_the_prior_counts_labels_or_votes(random_dataset: FaceDataset, voted: FaceDataset) -> None:
    rows = random_dataset.splits["train"]
    counts = np.bincount(random_dataset.labels[rows], minlength=len(random_dataset.classes))
    np.testing.assert_allclose(class_shares(random_dataset), counts / counts.sum())
    assert voted.targets is not None
    np.testing.assert_allclose(class_shares(voted), voted.targets[rows].mean(axis=0), rtol=0.2)
    assert class_shares(voted).sum() == pytest.approx(1)
