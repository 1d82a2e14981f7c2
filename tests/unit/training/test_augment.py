"""What augmentation does to a batch, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlopsproject.core.errors import ConfigError
from mlopsproject.training.augment import Augmentation, augment_batch, mixup_batch, scramble, warp

NOTHING = Augmentation(flip=0.0)


def pictures(count: int = 4, channels: int = 1, height: int = 12, width: int = 10) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


probability = st.floats(0, 1)


@settings(max_examples=40, deadline=None)
@given(
    augmentation=st.builds(
        Augmentation,
        flip=probability,
        rotation=st.floats(0, 180),
        translation=st.floats(0, 0.5),
        scale=st.floats(0, 0.5),
        brightness=probability,
        contrast=probability,
        erasing=probability,
        erasing_area=probability,
    ),
    count=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    height=st.integers(8, 20),
    width=st.integers(8, 20),
    calm=st.booleans(),
)
def test_shape_and_type_stay_and_values_are_finite(
    augmentation: Augmentation, count: int, channels: int, height: int, width: int, calm: bool
) -> None:
    before = pictures(count, channels, height, width)
    copy = before.clone()
    after = augment_batch(before, augmentation, calm=calm)
    assert after.shape == before.shape
    assert after.dtype == torch.float32
    assert torch.isfinite(after).all()
    assert torch.equal(before, copy), "the batch that came in is not changed"


def test_with_every_change_at_zero_the_batch_is_untouched() -> None:
    before = pictures()
    assert augment_batch(before, NOTHING) is before


def test_a_flip_of_probability_one_is_the_exact_mirror_image() -> None:
    before = pictures()
    assert torch.equal(augment_batch(before, Augmentation(flip=1.0)), before.flip(3))


def test_a_flip_inside_a_warp_is_the_mirror_image_too() -> None:
    before = pictures()
    after = augment_batch(before, Augmentation(flip=1.0, rotation=1e-6))
    torch.testing.assert_close(after, before.flip(3), atol=1e-4, rtol=0)


def test_a_warp_that_moves_nothing_keeps_the_picture() -> None:
    before = pictures()
    torch.testing.assert_close(augment_batch(before, Augmentation(flip=0.0, rotation=1e-6)), before, atol=1e-4, rtol=0)


def test_pictures_of_a_batch_are_changed_independently() -> None:
    same = pictures(1).expand(8, -1, -1, -1)
    after = augment_batch(same, Augmentation(flip=0.0, brightness=0.5))
    assert len({float(picture.mean()) for picture in after}) == 8


def test_equal_seeds_give_equal_batches() -> None:
    augmentation = Augmentation(rotation=15, translation=0.1, contrast=0.3, erasing=0.5)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(augment_batch(pictures(), augmentation))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_brightness_moves_the_mean_by_at_most_its_range_and_contrast_keeps_it() -> None:
    before = pictures(64)
    shift = augment_batch(before, Augmentation(flip=0.0, brightness=0.2)) - before
    assert shift.abs().max() <= 0.2 + 1e-6
    assert torch.allclose(shift.amax((1, 2, 3)), shift.amin((1, 2, 3)), atol=1e-6), "one shift per picture"
    contrast = augment_batch(before, Augmentation(flip=0.0, contrast=0.5))
    torch.testing.assert_close(contrast.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=1e-5, rtol=0)
    ratio = contrast.std((1, 2, 3)) / before.std((1, 2, 3))
    assert 0.5 - 1e-4 <= ratio.min() < ratio.max() <= 1.5 + 1e-4


@settings(max_examples=20, deadline=None)
@given(side=st.floats(0.05, 1.0), seed=st.integers(0, 1000))
def test_erasing_covers_one_rectangle_of_at_most_its_area_with_the_mean(side: float, seed: int) -> None:
    torch.manual_seed(seed)
    before = pictures(8, height=20, width=20)
    after = augment_batch(before, Augmentation(flip=0.0, erasing=1.0, erasing_area=side))
    for old, new in zip(before, after, strict=True):
        changed = (old != new)[0]
        rows, columns = changed.any(1).sum(), changed.any(0).sum()
        assert max(rows, columns) <= side * 20 + 1
        assert changed.sum() == rows * columns, "a full rectangle"
        assert torch.allclose(new[0][changed], old.mean())


def test_calm_epochs_go_without_erasing() -> None:
    before = pictures()
    assert torch.equal(augment_batch(before, Augmentation(flip=0.0, erasing=1.0), calm=True), before)


def test_mixup_blends_each_picture_with_its_partner_by_the_larger_share() -> None:
    before = pictures(16)
    for seed in range(10):
        torch.manual_seed(seed)
        mixed, partner, share = mixup_batch(before, 0.4)
        assert 0.5 <= share <= 1
        assert sorted(partner.tolist()) == list(range(16))
        torch.testing.assert_close(mixed, share * before + (1 - share) * before[partner])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip", 1.5),
        ("erasing", -0.1),
        ("scale", 1.0),
        ("rotation", -5),
        ("mixup_alpha", -1),
        ("outlier_exposure", 0.6),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.{name}={value}"):
        Augmentation(**{name: value})


def test_warp_moves_right_and_down_turns_and_magnifies() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 4, 6] = 1.0
    still = {"degrees": 0.0, "right": 0.0, "down": 0.0, "zoom": 1.0}
    torch.testing.assert_close(warp(image, **still), image)
    moved = warp(image, **still | {"right": 2 / 16, "down": 5 / 16})
    assert divmod(int(moved.argmax()), 16) == (9, 8)
    turned = warp(image, **still | {"degrees": 180.0})
    assert divmod(int(turned.argmax()), 16) == (11, 9)
    square = torch.zeros(1, 1, 16, 16)
    square[0, 0, 6:10, 6:10] = 1.0
    assert float(warp(square, **still | {"zoom": 2.0}).sum()) == pytest.approx(4 * 16, rel=0.1)


@given(seed=st.integers(0, 2**31), side=st.integers(8, 33), channels=st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_scrambled_pictures_keep_their_light_and_lose_their_shape(seed: int, side: int, channels: int) -> None:
    torch.manual_seed(seed)
    # A bright disc: any other order of places changes it.
    rows = torch.linspace(-1, 1, side)
    disc = 0.3 + 0.4 * ((rows[None] ** 2 + rows[:, None] ** 2) < 0.4).float()
    images = disc.expand(4, channels, side, side).contiguous()
    result = scramble(images)
    assert result.shape == images.shape
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    torch.testing.assert_close(result.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=0.05, rtol=0)
    assert (result - images).abs().mean() > 0.02
    # Tiles that change places keep every value.
    torch.testing.assert_close(result[1].flatten().sort().values, images[1].flatten().sort().values)
    assert torch.equal(images, disc.expand_as(images)), "the pictures given stay as they are"


def test_phases_are_scrambled_and_the_strength_of_each_frequency_stays() -> None:
    torch.manual_seed(0)
    images = 0.5 + 0.05 * torch.randn(1, 1, 32, 32).clamp(-2, 2)
    before, after = torch.fft.rfft2(images), torch.fft.rfft2(scramble(images))
    torch.testing.assert_close(after.abs(), before.abs(), atol=1e-3, rtol=1e-3)
    assert (after.angle() - before.angle()).abs().mean() > 0.5
