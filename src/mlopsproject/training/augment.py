"""Augmentation as batched tensor work on the training device, so that an epoch never waits for worker processes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mlopsproject.core.checks import check_number


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training pictures, drawn per picture; every range is symmetric around "no change".

    Args:
        flip: probability of mirroring left and right.
        rotation: degrees, drawn from ±this.
        translation: fraction of the side, drawn from ±this in both directions.
        scale: relative size, drawn from 1 ± this.
        brightness: added to the normalised picture in units of its range 0-1, drawn from ±this.
        contrast: factor around the picture's mean, drawn from 1 ± this.
        erasing: probability of covering one random rectangle with its picture's mean.
        erasing_area: largest side of that rectangle as a fraction of the picture's side.
        mixup_alpha: Beta(α, α) parameter of mixup (Zhang et al., 2018); 0 turns it off.
        mixup_share: share of batches that are mixed.
        outlier_exposure: share of a batch, at most half, that is made unrecognisable and taught as no class.
        calm_epochs: fraction of the last epochs without erasing and mixup.

    Raises:
        ConfigError: for a value out of range.
    """

    flip: float = 0.5
    rotation: float = 0.0
    translation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    erasing: float = 0.0
    erasing_area: float = 0.4
    mixup_alpha: float = 0.0
    mixup_share: float = 0.5
    outlier_exposure: float = 0.0
    calm_epochs: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            highest = {"rotation": 360.0, "mixup_alpha": math.inf, "scale": 0.9, "outlier_exposure": 0.5}.get(name, 1.0)
            check_number(f"augment.{name}", value, highest=highest)

    @property
    def warps(self) -> bool:
        """Whether pictures are resampled."""
        return bool(self.rotation or self.translation or self.scale)


def augment_batch(images: Tensor, augmentation: Augmentation, *, calm: bool = False) -> Tensor:
    """Change a batch at random.

    Args:
        images: float `[N, C, H, W]`, 0-1.
        augmentation: what to change and how much.
        calm: leave out erasing.

    Returns:
        Float `[N, C, H, W]`; values may leave 0-1 a little.
    """
    if augmentation.warps:
        images = _random_warp(images, augmentation)
    elif augmentation.flip:
        images = torch.where(_coin(images, augmentation.flip), images.flip(3), images)
    if augmentation.brightness or augmentation.contrast:
        mean = images.mean((1, 2, 3), keepdim=True)
        factor = 1 + augmentation.contrast * _signed(images)
        # Two plain passes: one `addcmul` over broadcast factors takes twice as long on a CPU.
        images = (images * factor).add_(mean * (1 - factor) + augmentation.brightness * _signed(images))
    if augmentation.erasing and not calm:
        images = _erase(images, augmentation)
    return images


def warp(images: Tensor, *, degrees: float, right: float, down: float, zoom: float) -> Tensor:
    """Turn, shift and magnify all pictures alike; what comes in from outside repeats the edge.

    Args:
        images: float `[N, C, H, W]`.
        degrees: of the turn.
        right: fraction of the side.
        down: fraction of the side.
        zoom: above 1 magnifies.

    Returns:
        Float `[N, C, H, W]`.
    """
    every = torch.ones(len(images), device=images.device)
    shift = torch.complex(-right * every, -down * every) * 2
    return _resample(images, math.radians(degrees) * every, zoom * every, every, shift)


def scramble(images: Tensor) -> Tensor:
    """Turn faces into pictures that have their light and their detail but show nothing.

    Every second picture keeps the strength of each spatial frequency and gets random phases, which makes clouds of it;
    the others are cut into 16 tiles that change places. Both are what studies of human vision compare faces with.

    Args:
        images: float `[N, C, H, W]`, about 0-1.

    Returns:
        Float `[N, C, H, W]`, the phase-scrambled ones within 0-1.
    """
    result = images.clone()
    result[::2] = _scramble_phases(images[::2])
    result[1::2] = _shuffle_tiles(images[1::2], 4)
    return result


def _scramble_phases(images: Tensor) -> Tensor:
    strength = torch.fft.rfft2(images).abs()
    # The phases of real noise, so that the result is real; one noise for all channels keeps gray pictures gray.
    phases = torch.fft.rfft2(torch.randn(len(images), 1, *images.shape[2:], device=images.device)).angle()
    phases[:, :, 0, 0] = 0  # the mean stays
    clouds: Tensor = torch.fft.irfft2(torch.polar(strength, phases.expand_as(strength)), s=images.shape[2:])
    return clouds.clamp_(0, 1)


def _shuffle_tiles(images: Tensor, cells: int) -> Tensor:
    """Cut pictures into `cells` x `cells` tiles and lay them in another order; what is left over at the edges stays."""
    height, width = images.shape[2] // cells, images.shape[3] // cells
    inner = (slice(None), slice(None), slice(height * cells), slice(width * cells))
    count, channels = images.shape[:2]
    # [N, C, row, y, column, x] -> [N, C, row, column, y, x]: one tile per row and column.
    tiles = images[inner].reshape(count, channels, cells, height, cells, width).transpose(3, 4)
    order = torch.randperm(cells * cells, device=images.device)
    tiles = tiles.reshape(count, channels, cells * cells, height, width)[:, :, order].reshape(tiles.shape)
    result = images.clone()
    result[inner] = tiles.transpose(3, 4).reshape(images[inner].shape)
    return result


def mixup_batch(images: Tensor, alpha: float) -> tuple[Tensor, Tensor, float]:
    """Blend each picture with another of its batch (Zhang et al., 2018, "mixup").

    Args:
        images: float `[N, C, H, W]`.
        alpha: parameter of the Beta(α, α) distribution, above 0.

    Returns:
        The blended pictures, the partner of each (int64 `[N]`) and the share of the original, 0.5-1.
    """
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    share = max(share, 1 - share)
    partner = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[partner], images, share), partner, share


def _signed(images: Tensor) -> Tensor:
    """One number from -1 to 1 per picture, shaped `[N, 1, 1, 1]`."""
    return torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1


def _coin(images: Tensor, probability: float) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device) < probability


def _random_warp(images: Tensor, augmentation: Augmentation) -> Tensor:
    """Flip, rotate, shift and scale in one resampling."""
    turns, zooms, right, down = torch.rand(4, len(images), device=images.device) * 2 - 1
    angle, zoom = turns * math.radians(augmentation.rotation), 1 + zooms * augmentation.scale
    mirror = 1 - 2 * _coin(images, augmentation.flip).flatten().float()
    shift = torch.complex(right, down) * (augmentation.translation * 2)
    return _resample(images, angle, zoom, mirror, shift)


def _resample(images: Tensor, angle: Tensor, zoom: Tensor, mirror: Tensor, shift: Tensor) -> Tensor:
    grid = _affine_grid(angle, zoom, mirror, shift, images.shape[2], images.shape[3])
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _affine_grid(angle: Tensor, zoom: Tensor, mirror: Tensor, shift: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel is sampled from, float `[N, H, W, 2]`, coordinates from -1 to 1 per side.

    A point x + iy turned by an angle is a complex product, which needs a quarter of the time of `affine_grid`.
    """
    turn = torch.polar(1 / zoom, angle).view(-1, 1, 1)
    columns = _pixel_centres(width, angle.device).view(1, 1, -1) * mirror.view(-1, 1, 1)
    rows = _pixel_centres(height, angle.device).view(1, -1, 1) * 1j
    return torch.view_as_real(turn * columns + (turn * rows + shift.view(-1, 1, 1)))


def _pixel_centres(count: int, device: torch.device) -> Tensor:
    return (torch.arange(count, device=device) * 2 + 1) / count - 1


def _erase(images: Tensor, augmentation: Augmentation) -> Tensor:
    """Cover a random rectangle with the picture's mean (Zhong et al., 2020, "Random Erasing")."""
    chosen = torch.nonzero(_coin(images, augmentation.erasing).flatten()).flatten()
    pictures = images[chosen]
    height, width = pictures.shape[2:]
    sides = torch.rand(2, len(chosen), 1, 1, 1, device=images.device) * augmentation.erasing_area / 2
    centres = torch.rand(2, len(chosen), 1, 1, 1, device=images.device)
    rows = torch.linspace(0, 1, height, device=images.device).view(1, 1, -1, 1)
    columns = torch.linspace(0, 1, width, device=images.device).view(1, 1, 1, -1)
    inside = ((rows - centres[0]).abs() < sides[0]) & ((columns - centres[1]).abs() < sides[1])
    covered = torch.where(inside, pictures.mean((1, 2, 3), keepdim=True), pictures)
    return images.index_copy(0, chosen, covered)
