"""Mini-Xception (Arriaga, Valdenegro-Toro & Plöger, 2017, arXiv:1710.07557): separable convolutions, 57 k weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlopsproject.training.networks.base import Network


class MiniXception(Network):
    """Two convolutions, then residual modules of depthwise-separable ones.

    The paper ends in a 3 x 3 convolution to the classes and its mean over all places. That is linear in the nine means
    of the features shifted by up to a pixel: these are the embedding, and the convolution's weights are the head's.

    Args:
        classes: number of logits.
        channels: input channels, 1 or 3.
        size: input height and width in pixels, at least 16.
        stem: channels of the two opening convolutions.
        widths: channels of each module, which halves the picture.

    Raises:
        ValueError: if the picture is too small.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        size: int,
        stem: int = 8,
        widths: Sequence[int] = (16, 32, 64, 128),
    ) -> None:
        super().__init__()
        if size < 16:
            raise ValueError(f"{size} x {size} pixels are too small; 16 x 16 are the least")
        opening: list[nn.Module] = []
        for before, after in ((channels, stem), (stem, stem)):
            opening += [nn.Conv2d(before, after, 3, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        modules = [_Module(before, after) for before, after in pairwise([stem, *widths])]
        self.features = nn.Sequential(*opening, *modules)
        self.head = nn.Linear(9 * widths[-1], classes)

    def embed(self, image: Tensor) -> Tensor:
        """See `Network.embed`."""
        features = functional.pad(self.features(image), (1, 1, 1, 1))
        high, wide = features.shape[2] - 2, features.shape[3] - 2
        shifted = [features[:, :, y : y + high, x : x + wide].mean((2, 3)) for y in range(3) for x in range(3)]
        return torch.cat(shifted, 1)


class _Separable(nn.Sequential):
    """Depthwise 3 x 3 and pointwise convolution, and BatchNorm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False),
            nn.Conv2d(before, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )


class _Module(nn.Module):
    """Two separable convolutions and max-pooling, beside a strided 1 x 1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.beside = nn.Sequential(nn.Conv2d(before, after, 1, stride=2, bias=False), nn.BatchNorm2d(after))
        self.main = nn.Sequential(
            _Separable(before, after),
            nn.ReLU(inplace=True),
            _Separable(after, after),
            nn.MaxPool2d(3, stride=2, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, before, H, W]` to `[N, after, ceil(H / 2), ceil(W / 2)]`."""
        result: Tensor = self.main(features) + self.beside(features)
        return result
