from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from mlopsproject.core.errors import ConfigError
from mlopsproject.data import all_pairs, duplicates
from mlopsproject.data.all_pairs import alike_pairs
from mlopsproject.data.duplicates import MIN_CORRELATION, close_pairs, find_twins
from mlopsproject.data.hashing import perceptual_hash, pixel_hash, thumbnail
from mlopsproject.data.thumbnails import ThumbnailFile


def twins_of(
    images: Sequence[Image.Image], folder: Path, search: str = "hashes", correlation: float = MIN_CORRELATION
) -> duplicates.Twins:
    thumbnails = np.stack([thumbnail(image) for image in images])
    (folder / "thumbnails").write_bytes(thumbnails.tobytes())
    return find_twins(
        np.array([pixel_hash(np.asarray(image)) for image in images], "S16"),
        perceptual_hash(thumbnails),
        perceptual_hash(thumbnails[:, :, ::-1]),
        ThumbnailFile(folder / "thumbnails"),
        search=search,
        correlation=correlation,
    )


def all_close(left: np.ndarray, right: np.ndarray) -> set[tuple[int, int]]:
    near = np.bitwise_count(left[:, None] ^ right[None]) <= duplicates.MAX_DISTANCE
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(near), strict=True)}


def found(left: np.ndarray, right: np.ndarray | None) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for one, two in close_pairs(left, right) for i, j in zip(one, two, strict=True)]


@pytest.mark.parametrize(("brute_force", "small_bucket"), [(0, 0), (0, 256), (4096, 0)])
@given(seed=st.integers(0, 2**32 - 1), flips=st.integers(0, 12))
@settings(deadline=None, max_examples=15)
def test_every_pair_within_reach_is_found_exactly_once(
    brute_force: int, small_bucket: int, seed: int, flips: int
) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 2**64, 40, dtype=np.uint64)
    bits = np.uint64(1) << rng.integers(0, 64, (40, flips), dtype=np.uint64)
    other = np.bitwise_xor.reduce(np.concatenate([base[:, None], bits], axis=1), axis=1)
    both = np.concatenate([base, other])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BRUTE_FORCE", brute_force)
        patch.setattr(duplicates, "_SMALL_BUCKET", small_bucket)
        within, across = found(both, None), found(base, other)
    assert sorted(within) == sorted((i, j) for i, j in all_close(both, both) if i < j)
    assert sorted(across) == sorted(all_close(base, other))


def test_copies_reencodings_and_mirror_images_are_one_group(
    picture: Callable[..., Image.Image], tmp_path: Path
) -> None:
    face, other = picture(1, 48), picture(2, 48)
    lighter = ImageEnhance.Brightness(face).enhance(1.1)
    twins = twins_of([face, other, face.copy(), lighter, face.resize((64, 64)), ImageOps.mirror(face)], tmp_path)
    assert twins.group.tolist() == [0, 1, 0, 0, 0, 0]
    assert twins.exact.tolist() == [0, 1, 0, 2, 3, 4]
    assert twins.complete


def test_gray_stored_as_rgb_is_an_exact_duplicate_and_size_matters(picture: Callable[..., Image.Image]) -> None:
    face = picture(1)
    assert pixel_hash(np.asarray(face.convert("RGB"))) == pixel_hash(np.asarray(face))
    assert pixel_hash(np.zeros((8, 2), np.uint8)) != pixel_hash(np.zeros((2, 8), np.uint8))


def test_close_hashes_without_correlation_stay_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    (tmp_path / "thumbnails").write_bytes(thumbnails.tobytes())
    same = np.zeros(3, np.uint64)
    twins = find_twins(np.array([b"a", b"b", b"c"], "S16"), same, same, ThumbnailFile(tmp_path / "thumbnails"))
    assert twins.group.tolist() == [0, 1, 2]


def test_different_pictures_are_not_twins(picture: Callable[..., Image.Image], tmp_path: Path) -> None:
    assert len(set(twins_of([picture(seed) for seed in range(150)], tmp_path).group)) == 150


def test_masses_of_look_alikes_end_the_search_instead_of_the_machine(
    picture: Callable[..., Image.Image],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(duplicates, "_MAX_PROPOSALS_PER_IMAGE", 0)
    twins = twins_of([picture(1), ImageEnhance.Brightness(picture(1)).enhance(1.1)], tmp_path)
    assert not twins.complete
    assert "stopped early" in caplog.text


def test_ten_thousand_copies_of_near_twins_are_grouped_quickly(
    picture: Callable[..., Image.Image], tmp_path: Path
) -> None:
    base = thumbnail(picture(1)).astype(int)
    rng = np.random.default_rng(0)
    thumbnails = np.clip(base + rng.integers(-3, 4, (10_000, 32, 32)), 0, 255).astype(np.uint8)
    (tmp_path / "thumbnails").write_bytes(thumbnails.tobytes())
    hashes = perceptual_hash(thumbnails)
    twins = find_twins(np.arange(10_000).astype("S16"), hashes, hashes, ThumbnailFile(tmp_path / "thumbnails"))
    assert set(twins.group) == {0}


@pytest.mark.parametrize("mirror", [False, True])
def test_all_pairs_finds_the_twins_that_hashes_miss(
    mirror: bool, picture: Callable[..., Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MAX_DISTANCE", -1)  # as if every pair of hashes differed
    face = picture(1, 48)
    twin = ImageEnhance.Brightness(face).enhance(1.1)
    images = [picture(seed, 48) for seed in range(2, 40)]
    images[3:3] = [face]
    images += [ImageOps.mirror(twin) if mirror else twin]
    by_hashes, by_pairs = twins_of(images, tmp_path), twins_of(images, tmp_path, "all_pairs")
    assert len(set(by_hashes.group)) == len(images)
    assert by_pairs.group.tolist() == [*range(39), 3]


@pytest.mark.parametrize("mirror", [False, True])
def test_all_pairs_proposes_every_pair_that_correlates_whatever_the_size_of_its_blocks(
    mirror: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_pairs, "_ROWS", 7)
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (12, 8, 8))[np.arange(40) % 12] + rng.integers(-9, 10, (40, 8, 8))
    coarse[20:] = coarse[20:, :, ::-1]
    thumbnails = coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    (tmp_path / "thumbnails").write_bytes(thumbnails.tobytes())
    right = thumbnails[:, :, ::-1] if mirror else thumbnails
    close = np.corrcoef(thumbnails.reshape(40, -1), right.reshape(40, -1))[:40, 40:] >= 0.95
    expected = {(i, j) for i, j in zip(*np.nonzero(close), strict=True) if i < j}
    blocks = list(alike_pairs(ThumbnailFile(tmp_path / "thumbnails"), 40, 0.95, mirror=mirror))
    found = [(int(i), int(j)) for left, right_ in blocks for i, j in zip(left, right_, strict=True)]
    assert len(expected) > 10
    assert len(found) == len(set(found))
    assert expected <= set(found)


def test_a_lower_correlation_joins_another_crop_of_the_same_photograph(tmp_path: Path) -> None:
    y, x = np.mgrid[0:60, 0:60]
    rng = np.random.default_rng(0)
    photograph = sum(30 * np.sin(a * x / 9 + b * y / 9 + c) for a, b, c in rng.normal(0, 1, (6, 3))) + 128
    crops = [Image.fromarray(np.clip(photograph, 0, 255).astype(np.uint8)[k : k + 48, k : k + 48]) for k in (0, 2)]
    joined = {level: twins_of(crops, tmp_path, "all_pairs", level).group.tolist() for level in (0.8, 0.999)}
    assert joined == {0.8: [0, 0], 0.999: [0, 1]}


def test_all_pairs_refuses_more_pictures_than_it_can_compare(
    picture: Callable[..., Image.Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "MAX_IMAGES", 2)
    with pytest.raises(ConfigError, match=r"at most 2 different pictures, and there are 3"):
        twins_of([picture(seed) for seed in range(3)], tmp_path, "all_pairs")
