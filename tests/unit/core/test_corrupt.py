"""Corruptions: what each does, that severity orders them, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core.corrupt import CORRUPTIONS, SEVERITIES, corrupt

KINDS = list(CORRUPTIONS)


def pictures(count: int = 6, channels: int = 1, size: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth pictures with some detail, away from black and white."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 6 : size * 1j, 0 : 6 : size * 1j]
    waves = np.sin(x + rng.uniform(0, 6, (count, channels, 1, 1))) * np.cos(2 * y)
    return (127 + 50 * waves + rng.normal(0, 6, waves.shape)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@given(channels=st.sampled_from([1, 3]), size=st.integers(24, 40), severity=st.sampled_from(SEVERITIES))
@settings(deadline=None, max_examples=10)
def test_shape_type_and_the_input_itself_stay(kind: str, channels: int, size: int, severity: int) -> None:
    images = pictures(3, channels, size)
    before = images.copy()
    worse = corrupt(images, kind, severity)
    assert worse.shape == images.shape
    assert worse.dtype == np.uint8
    assert np.array_equal(images, before)
    assert not np.array_equal(worse, images)


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_severity_changes_more(kind: str) -> None:
    images = pictures(20)
    change = [np.abs(corrupt(images, kind, severity).astype(int) - images).mean() for severity in SEVERITIES]
    assert 0 < change[0] < change[1] < change[2]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_pictures(kind: str) -> None:
    images = pictures()
    assert np.array_equal(corrupt(images, kind, 2, seed=5), corrupt(images, kind, 2, seed=5))


@pytest.mark.parametrize("kind", ["noise", "brightness", "rotation", "occlusion"])
def test_another_seed_gives_others(kind: str) -> None:
    images = pictures(12)
    assert not np.array_equal(corrupt(images, kind, 2, seed=5), corrupt(images, kind, 2, seed=6))


@pytest.mark.parametrize("kind", KINDS)
def test_no_pictures_give_no_pictures(kind: str) -> None:
    assert corrupt(pictures()[:0], kind, 1).shape == (0, 1, 32, 32)


def test_brightness_goes_both_ways_and_contrast_keeps_the_mean() -> None:
    images = pictures(40)
    lighter = corrupt(images, "brightness", 1).mean((1, 2, 3)) > images.mean((1, 2, 3))
    assert 5 < lighter.sum() < 35
    flat = corrupt(images, "contrast", 3)
    assert np.abs(flat.mean((1, 2, 3)) - images.mean((1, 2, 3))).max() < 1
    assert flat.std() < 0.4 * images.std()


def test_blur_keeps_gray_and_occlusion_covers_its_share() -> None:
    gray = np.full((2, 1, 32, 32), 90, np.uint8)
    assert np.array_equal(corrupt(gray, "blur", 3), gray)
    assert ((corrupt(gray, "occlusion", 2) == 0).mean((1, 2, 3)) == (13 / 32) ** 2).all()


def test_rotation_leaves_no_black_corners() -> None:
    assert corrupt(np.full((4, 3, 32, 32), 90, np.uint8), "rotation", 3).min() == 90


@pytest.mark.parametrize(("kind", "severity"), [("fog", 1), ("blur", 0), ("blur", 4)])
def test_an_unknown_kind_or_severity_is_refused(kind: str, severity: int) -> None:
    with pytest.raises(ValueError, match="no corruption"):
        corrupt(pictures(), kind, severity)
