"""Layers that treat a picture and its mirror image alike (group convolutions, Cohen & Welling, 2016, for reflections).

Their channels come in two halves: the second holds what the first would hold if the picture were mirrored, itself
mirrored. What is computed costs as much as with ordinary layers of the same width, from half as many weights, and the
mean of the two halves over all places is exactly the same for a picture and its mirror image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MirrorConv(nn.Conv2d):
    """Convolution without bias, of whose kernels one half are the other half's mirror images.

    Args:
        before: channels in.
        after: channels out, an even number.
        kernel: side of the kernels. At stride 2 and even sizes of the picture only even kernels are symmetric.
        stride: of the convolution.
        paired: whether the input's channels come in halves already; those of a picture do not.
    """

    def __init__(self, before: int, after: int, kernel: int = 3, *, stride: int = 1, paired: bool = True) -> None:
        super().__init__(before, after // 2, kernel, stride=stride, padding=1, bias=False)
        self.paired = paired

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, before, H, W]` to `[N, after, H', W']`."""
        # Seen in the mirror, the two halves of the input have changed places.
        other = self.weight.roll(self.in_channels // 2, 1) if self.paired else self.weight
        weight = torch.cat([self.weight, other.flip(3)])
        return functional.conv2d(features, weight, stride=self.stride, padding=self.padding)


class MirrorNorm(nn.BatchNorm2d):
    """BatchNorm that treats the two halves of the channels alike.

    Args:
        width: channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Map `[N, width, H, W]` to the same shape."""
        if not self.training:
            mean, variance = self.get_buffer("running_mean").repeat(2), self.get_buffer("running_var").repeat(2)
            scale, shift = self.weight.repeat(2), self.bias.repeat(2)
            return functional.batch_norm(features, mean, variance, scale, shift, eps=self.eps)
        # The halves side by side, as one picture of twice the width: no copy in the channels_last format.
        count, width, high, wide = features.shape
        rows = features.permute(0, 2, 3, 1)
        beside = rows.reshape(count, high, 2 * wide, width // 2).permute(0, 3, 1, 2)
        normed = super().forward(beside).permute(0, 2, 3, 1)
        return normed.reshape(count, high, wide, width).permute(0, 3, 1, 2)
