"""Residual networks (He et al., 2016) for small gray faces, cheap enough to train and to serve on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlopsproject.training.networks.base import PooledNetwork
from mlopsproject.training.networks.mirror import MirrorConv, MirrorNorm
from mlopsproject.training.networks.se_convnet import SqueezeExcite


class Shrink(nn.Module):
    """Resize pictures by the least-squares inverse of a bilinear enlargement.

    Public faces are 48 x 48 pixels. Enlarged to an input of 64 x 64, this gives them back as they were (up to the
    rounding of pixel values), so that the layers after it need not compute on pixels without information. Of a picture
    that does have details of 64 x 64, it keeps what 48 x 48 can show.

    Args:
        size: height and width of the input in pixels.
        target: height and width of the output in pixels, at most `size`.

    Raises:
        ValueError: if `target` is larger than `size`.
    """

    matrix: Tensor

    def __init__(self, size: int, target: int) -> None:
        super().__init__()
        if target > size:
            raise ValueError(f"{size} x {size} pixels cannot be shrunk to {target} x {target}")
        inverse = np.linalg.pinv(_enlargement(target, size))
        self.register_buffer("matrix", torch.tensor(inverse, dtype=torch.float32), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map pictures, float `[N, C, size, size]`, to float32 `[N, C, target, target]`."""
        if torch.is_autocast_enabled(image.device.type):
            # The bundle computes in fp32, and rounding to bf16 would be rounding the pixels.
            with torch.autocast(image.device.type, enabled=False):
                return self._resized(image.float())
        return self._resized(image)

    def _resized(self, image: Tensor) -> Tensor:
        return torch.matmul(torch.matmul(self.matrix, image), self.matrix.T)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one channel of one picture."""
        target, size = self.matrix.shape
        return target * size * size + target * target * size


def _enlargement(small: int, large: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix `[large, small]` that enlarges a line of pixels bilinearly, as Pillow does."""
    centre = (np.arange(large) + 0.5) * small / large - 0.5
    left = np.floor(centre).astype(int)
    share = centre - left
    matrix = np.zeros((large, small))
    rows = np.arange(large)
    np.add.at(matrix, (rows, np.clip(left, 0, small - 1)), 1 - share)
    np.add.at(matrix, (rows, np.clip(left + 1, 0, small - 1)), share)
    return matrix


class ConvNorm(nn.Sequential):
    """3 x 3 convolution and BatchNorm.

    Args:
        before: channels in.
        after: channels out.
        mirror: the layers of `networks.mirror`.
    """

    def __init__(self, before: int, after: int, *, mirror: bool = False) -> None:
        if mirror:
            super().__init__(MirrorConv(before, after), MirrorNorm(after))
        else:
            super().__init__(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The BatchNorm."""
        norm = self[1]
        assert isinstance(norm, nn.BatchNorm2d)
        return norm


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what came in.

    Args:
        width: channels in and out.
        gate: scale the channels of the result by `SqueezeExcite`.
        mirror: the layers of `networks.mirror`.
    """

    def __init__(self, width: int, *, gate: bool, mirror: bool = False) -> None:
        super().__init__()
        self.first, self.second = (ConvNorm(width, width, mirror=mirror) for _ in range(2))
        self.gate = SqueezeExcite(width) if gate else nn.Identity()
        # Blocks begin as the identity (Goyal et al., 2017).
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Map features `[N, width, H, W]` to the same shape."""
        change = self.gate(self.second(functional.relu(self.first(features))))
        return functional.relu(features + change)


class ResidualNet(PooledNetwork):
    """A stem with stride 2, then stages of one convolution and some residual blocks, halving between stages.

    Args:
        classes: number of logits.
        channels: input channels, 1 or 3.
        size: input height and width in pixels.
        widths: channels of each stage; the last is the embedding.
        blocks: residual blocks of each stage.
        stem: channels of the opening convolution.
        stem_stride: 2 halves the picture at once; 1 begins at full resolution, and the picture is halved after the
            first stage as after the others.
        gates: squeeze-and-excitation in the blocks. They cost little to train, and a third of the time in int8.
        mirror: the layers of `networks.mirror`: a picture and its mirror image get the same answer, from half as many
            weights, and the embedding has half as many values. Not together with `gates`.
        work_size: pixels that larger pictures are shrunk to on both sides first, see `Shrink`; 0 keeps their size.
        dropout: probability of zeroing an embedding value before the head while training.
        stage_dropout: probability of zeroing a whole channel after each stage while training.

    Raises:
        ValueError: if `widths` and `blocks` differ in length, a number is too small, nothing is left of the picture
            after the stages, or `mirror` meets `gates`, odd widths or an odd size.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        size: int,
        widths: Sequence[int] = (32, 64, 128),
        blocks: Sequence[int] = (0, 1, 2),
        stem: int = 16,
        stem_stride: int = 2,
        gates: bool = False,
        mirror: bool = False,
        work_size: int = 48,
        dropout: float = 0.2,
        stage_dropout: float = 0.0,
    ) -> None:
        if len(widths) != len(blocks):
            raise ValueError(f"widths={list(widths)} and blocks={list(blocks)} must be equally long")
        if min([stem, *widths], default=0) < 1 or min(blocks, default=0) < 0 or work_size < 0 or not widths:
            raise ValueError("stem and widths must be at least 1, blocks and work_size at least 0")
        shrinks = 0 < work_size < size
        side = work_size if shrinks else size
        if stem_stride not in (1, 2):
            raise ValueError(f"stem_stride={stem_stride} must be 1 or 2")
        halvings = len(widths) - 2 + stem_stride
        if side < 2**halvings:
            raise ValueError(f"{side} x {side} pixels are too small to be halved {halvings} times")
        if mirror and (gates or any(number % 2 for number in (stem, *widths)) or side % 2**halvings):
            raise ValueError(f"mirror goes without gates, with even widths and sides divisible by {2**halvings}")
        layers: list[nn.Module] = [_stem(channels, stem, stem_stride, mirror=mirror), nn.ReLU(inplace=True)]
        before = stem
        for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if index:
                layers.append(nn.MaxPool2d(2))
            layers += [ConvNorm(before, width, mirror=mirror), nn.ReLU(inplace=True)]
            layers += [ResidualBlock(width, gate=gates, mirror=mirror) for _ in range(count)]
            if stage_dropout:
                layers.append(nn.Dropout2d(stage_dropout))
            before = width
        super().__init__(layers, width=before // (1 + mirror), classes=classes, dropout=dropout)
        self.shrink = Shrink(size, work_size) if shrinks else nn.Identity()
        self.mirror = mirror

    def embed(self, image: Tensor) -> Tensor:
        """See `Network.embed`."""
        embedding = super().embed(self.shrink(image))
        return torch.stack(embedding.chunk(2, 1)).mean(0) if self.mirror else embedding


def _stem(channels: int, width: int, stride: int, *, mirror: bool) -> nn.Module:
    """The opening convolution, which may halve the picture, and its BatchNorm."""
    if mirror:
        # At stride 2 only even kernels are symmetric, at stride 1 only odd ones.
        stem = MirrorConv(channels, width, 2 + stride, stride=stride, paired=False)
        return nn.Sequential(stem, MirrorNorm(width))
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width))
