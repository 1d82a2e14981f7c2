"""Which images the model has in effect seen."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mlopsproject.evaluation.twins import find_training_twins, twin_rule


def table(hashes: list[str], perceptual: list[int], groups: list[int] | None = None) -> pa.Table:
    columns = {"pixel_hash": hashes, "perceptual_hash": pa.array(perceptual, pa.uint64())}
    if groups is not None:
        columns["group"] = pa.array(groups, pa.int64())
    return pa.table(columns)


FAR = 0xFFFF_FFFF


def test_the_same_pixels_are_an_exact_and_thereby_a_near_twin() -> None:
    manifest = table(["a", "b", "c"], [0, FAR, FAR << 32], [0, 1, 2])
    twins = find_training_twins(manifest, np.array([1, 2]), table(["b"], [FAR]))
    assert twins.exact.tolist() == twins.near.tolist() == [True, False]


def test_a_group_that_holds_a_training_image_is_near() -> None:
    manifest = table(["a", "b", "c"], [0, FAR, FAR << 32], [7, 7, 8])
    twins = find_training_twins(manifest, np.array([1, 2]), table(["a"], [0]))
    assert twins.exact.tolist() == [False, False]
    assert twins.near.tolist() == [True, False]


def test_look_alikes_by_hash_do_not_count_when_the_pictures_were_compared() -> None:
    manifest = table(["a", "b"], [0, 1], [0, 1])
    twins = find_training_twins(manifest, np.array([1]), table(["a"], [0]))
    assert twins.near.tolist() == [False]
    assert "or have a perceptual hash" not in twin_rule(twins)


def test_training_images_of_other_data_are_matched_by_perceptual_hash_within_eight_bits() -> None:
    manifest = table(["a", "b", "c"], [0xFF, 0x1FF, FAR], [0, 1, 2])
    twins = find_training_twins(manifest, np.arange(3), table(["x", "y"], [0, 0]))
    assert twins.near.tolist() == [True, False, False]
    assert twins.foreign == 2
    assert "within 8 bits" in twin_rule(twins)


def test_images_outside_the_rows_asked_for_do_not_matter() -> None:
    manifest = table(["a", "b"], [0, FAR], [0, 1])
    assert len(find_training_twins(manifest, np.empty(0, np.int64), table(["x"], [0])).near) == 0
