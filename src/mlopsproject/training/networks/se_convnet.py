"""Convolutional networks with squeeze-and-excitation (Hu et al., 2018) for small gray faces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlopsproject.training.networks.base import PooledNetwork


def _conv(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the channel means.

    Args:
        width: channels in and out.
        reduction: the gate's hidden layer has `width // reduction` units, at least 8.
    """

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(8, width // reduction)
        self.gate = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features `[N, width, H, W]` to the same shape."""
        return features * torch.sigmoid(self.gate(features.mean((2, 3), keepdim=True)))


class SEConvNet(PooledNetwork):
    """Stages of two convolution-BatchNorm-ReLU pairs and a gate, halving the picture between stages.

    Args:
        classes: number of logits.
        channels: input channels, 1 or 3.
        size: input height and width in pixels, at least 1 after the halvings.
        widths: channels of each stage; the last is the embedding.
        stem: channels of an opening convolution with stride 2, which makes every later layer four times
            cheaper; 0 leaves it out and starts at full resolution.
        dropout: probability of zeroing an embedding value before the head while training.
        stage_dropout: probability of zeroing a whole channel after each stage while training.

    Raises:
        ValueError: if nothing is left of the picture after the stages.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        size: int,
        widths: Sequence[int] = (32, 64, 128, 256),
        stem: int = 0,
        dropout: float = 0.3,
        stage_dropout: float = 0.0,
    ) -> None:
        halvings = len(widths) - 1 + bool(stem)
        if size < 2**halvings:
            raise ValueError(f"{size} x {size} pixels are too small to be halved {halvings} times")
        layers: list[nn.Module] = _conv(channels, stem, stride=2) if stem else []
        before = stem or channels
        for index, width in enumerate(widths):
            if index:
                layers.append(nn.MaxPool2d(2))
            layers += [*_conv(before, width), *_conv(width, width), SqueezeExcite(width)]
            if stage_dropout:
                layers.append(nn.Dropout2d(stage_dropout))
            before = width
        super().__init__(layers, width=before, classes=classes, dropout=dropout)
