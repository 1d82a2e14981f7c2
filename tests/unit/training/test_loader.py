"""Which rows an epoch visits, how batches are cut, and how a loader resumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.training.datamodule import FaceDataModule
from mlopsproject.training.loader import ArrayLoader, EpochOrder, shuffled

ROWS = np.arange(10, 33)


def loader(
    *, batch_size: int = 5, drop_last: bool = False, rank: int = 0, world_size: int = 1, seed: int = 0
) -> ArrayLoader:
    """A loader whose pictures hold their own row number."""
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1, 1).repeat(8, 2).repeat(8, 3)
    order = EpochOrder(shuffled(ROWS, seed), rank=rank, world_size=world_size)
    return ArrayLoader(images, np.arange(64, dtype=np.int64), order, batch_size=batch_size, drop_last=drop_last)


def visited(batches: object) -> list[int]:
    return [int(label) for _, labels in batches for label in labels]  # type: ignore[attr-defined]


def test_an_epoch_visits_every_row_once() -> None:
    batches = list(loader())
    assert sorted(visited(batches)) == ROWS.tolist()
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 3]


def test_batches_are_uint8_pictures_with_their_labels() -> None:
    images, labels = next(iter(loader()))
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert images.shape == (5, 1, 8, 8)
    assert torch.equal(images[:, 0, 0, 0].long(), labels)


def test_the_order_differs_by_epoch_and_repeats_by_seed() -> None:
    first, again, other = loader(), loader(), loader(seed=1)
    orders = {}
    for epoch in (0, 1):
        first.sampler.set_epoch(epoch)
        again.sampler.set_epoch(epoch)
        orders[epoch] = visited(first)
        assert orders[epoch] == visited(again)
    assert orders[0] != orders[1]
    assert orders[0] != visited(other)


def test_every_epoch_starts_at_its_first_batch_even_if_the_last_was_not_exhausted() -> None:
    partial = loader()
    for epoch in (0, 1, 2):
        partial.sampler.set_epoch(epoch)
        iterator = iter(partial)
        seen = [next(iterator) for _ in range(len(partial))]  # as Lightning does: never asked for one more
        assert sorted(visited(seen)) == ROWS.tolist()
    next(iter(partial))
    assert sorted(visited(partial)) == ROWS.tolist()


def test_drop_last_leaves_the_smaller_batch_out_but_never_the_only_one() -> None:
    assert [len(labels) for _, labels in loader(drop_last=True)] == [5, 5, 5, 5]
    assert len(loader(drop_last=True)) == 4
    assert [len(labels) for _, labels in loader(batch_size=100, drop_last=True)] == [23]


@given(count=st.integers(1, 200), world_size=st.integers(1, 8))
def test_processes_get_disjoint_shares_of_equal_length(count: int, world_size: int) -> None:
    shares = [
        EpochOrder(shuffled(np.arange(count), 0), rank=rank, world_size=world_size).rows() for rank in range(world_size)
    ]
    together = np.concatenate(shares)
    assert len({len(share) for share in shares}) == 1
    assert len(np.unique(together)) == len(together) == count // world_size * world_size


@given(count=st.integers(1, 200), world_size=st.integers(1, 8))
def test_in_validation_no_row_is_left_out(count: int, world_size: int) -> None:
    rows = np.arange(count)
    shares = [
        EpochOrder(lambda _: rows, rank=rank, world_size=world_size, even=False).rows() for rank in range(world_size)
    ]
    assert sorted(np.concatenate(shares).tolist()) == rows.tolist()


@pytest.mark.parametrize("seen", [1, 3, 5])
def test_a_loader_resumes_after_the_last_batch_it_gave(seen: int) -> None:
    whole, interrupted, resumed = loader(), loader(), loader()
    for each in (whole, interrupted, resumed):
        each.sampler.set_epoch(2)
    iterator = iter(interrupted)
    before = [next(iterator) for _ in range(seen)]
    resumed.load_state_dict(interrupted.state_dict())
    after = list(resumed)
    assert visited(before) + visited(after) == visited(whole)
    assert sorted(visited(resumed)) == ROWS.tolist(), "the epoch after that is whole"


def test_a_state_saved_at_the_end_of_an_epoch_does_not_shorten_the_next() -> None:
    done, resumed = loader(), loader()
    list(done)
    resumed.load_state_dict(done.state_dict())
    resumed.sampler.set_epoch(1)
    assert sorted(visited(resumed)) == ROWS.tolist()


# ---- the DataModule


def labels_of(data: FaceDataset, **settings: object) -> np.ndarray:
    module = FaceDataModule(data, batch_size=8, **settings)  # type: ignore[arg-type]
    return np.concatenate([labels for _, labels in module.train_dataloader()])


def test_training_takes_train_only_and_validation_and_test_their_own_in_order(random_dataset: FaceDataset) -> None:
    module = FaceDataModule(random_dataset, batch_size=7)
    assert set(module.train_dataloader().sampler.rows().tolist()) == set(range(40))
    assert module.val_dataloader().sampler.rows().tolist() == list(range(40, 50))
    assert module.test_dataloader().sampler.rows().tolist() == list(range(50, 60))
    assert module.train_dataloader().drop_last
    assert not module.val_dataloader().drop_last


def test_classes_keep_their_shares_without_balancing(random_dataset: FaceDataset) -> None:
    assert np.bincount(labels_of(random_dataset)).tolist() == [30, 10]


def test_weighted_balance_draws_classes_about_equally_often(random_dataset: FaceDataset) -> None:
    drawn = np.bincount(labels_of(random_dataset, balance="weighted"), minlength=2)
    assert drawn.sum() == 40
    assert 10 <= drawn[0] <= 30


def test_fixed_balance_draws_exactly_that_many_of_each(random_dataset: FaceDataset) -> None:
    assert np.bincount(labels_of(random_dataset, balance="fixed", per_class=20)).tolist() == [20, 20]


@pytest.mark.parametrize("settings", [{"balance": "wieghted"}, {"balance": "fixed"}])
def test_an_unknown_strategy_or_a_missing_number_is_an_error(
    random_dataset: FaceDataset, settings: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=r"balance|per_class"):
        labels_of(random_dataset, **settings)


def test_a_data_set_without_training_pictures_is_refused(random_dataset: FaceDataset) -> None:
    empty = FaceDataset(**(vars(random_dataset) | {"splits": random_dataset.splits | {"train": np.array([], int)}}))
    with pytest.raises(DataError, match="no train images"):
        FaceDataModule(empty, batch_size=8)


def test_targets_travel_with_their_pictures() -> None:
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1, 1)
    targets = np.arange(64, dtype=np.float32)[:, None] / 64
    order = EpochOrder(shuffled(ROWS, 0))
    for pictures, labels, taught in ArrayLoader(images, np.arange(64), order, batch_size=5, targets=targets):
        assert torch.equal(taught[:, 0] * 64, labels.float())
        assert torch.equal(pictures.flatten().long(), labels)


def test_only_training_batches_have_targets(random_dataset: FaceDataset) -> None:
    targets = np.zeros((60, 2), np.float32)
    module = FaceDataModule(random_dataset, batch_size=8, targets=targets)
    assert len(next(iter(module.train_dataloader()))) == 3
    assert len(next(iter(module.val_dataloader()))) == len(next(iter(module.test_dataloader()))) == 2
