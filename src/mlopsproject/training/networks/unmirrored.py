"""A mirror network as ordinary layers, each of which has every weight once.

The layers of `networks.mirror` put the second half of their kernels together from the first whenever they compute.
Converters that fold constants keep both halves in the file, which then is twice as large. The second half of the
channels, seen in the mirror, is what the first half is for the mirrored picture: so the same numbers come from layers
of half as many channels that are given both pictures, at the same cost.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mlopsproject.training.networks.base import Network
from mlopsproject.training.networks.mirror import MirrorConv, MirrorNorm
from mlopsproject.training.networks.residual import ResidualNet


class _PairConv(nn.Module):
    """A `MirrorConv` for pairs: pictures in the first half of the batch, their mirror images in the second.

    Args:
        layer: whose weights are used.
    """

    def __init__(self, layer: MirrorConv) -> None:
        super().__init__()
        self.paired = layer.paired
        self.conv = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size[0],
            stride=layer.stride[0],
            padding=layer.padding[0],
            bias=False,
        )
        self.conv.weight = layer.weight

    def forward(self, features: Tensor) -> Tensor:
        """Map `[2 N, before, H, W]` to `[2 N, after, H', W']`."""
        if self.paired:
            straight, mirrored = features.chunk(2)
            # Each picture's other half of the channels is the other picture's, seen in the mirror.
            features = torch.cat([features, torch.cat([mirrored, straight]).flip(3)], 1)
        result: Tensor = self.conv(features)
        return result


class _Unmirrored(nn.Module):
    """A mirror network that computes the picture and its mirror image.

    Args:
        network: it is copied.
    """

    def __init__(self, network: ResidualNet) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        for parent in list(self.network.modules()):
            for name, layer in parent.named_children():
                if isinstance(layer, MirrorConv):
                    setattr(parent, name, _PairConv(layer))
                elif isinstance(layer, MirrorNorm):
                    setattr(parent, name, _ordinary(layer))

    def forward(self, image: Tensor) -> Tensor:
        """Map normalised pictures, float `[N, C, H, W]`, to logits, float `[N, classes]`."""
        small = self.network.shrink(image)
        features = self.network.stages(torch.cat([small, small.flip(3)]))
        embedding = torch.stack(features.mean((2, 3)).chunk(2)).mean(0)
        return self.network.classify(embedding)


def unmirrored(network: Network) -> nn.Module:
    """A network that gives the same logits from ordinary layers, for export.

    Args:
        network: it is not changed.

    Returns:
        A copy in evaluation mode where the layers of `network` are those of `networks.mirror`, else `network`.
    """
    return _Unmirrored(network) if isinstance(network, ResidualNet) and network.mirror else network


def _ordinary(layer: MirrorNorm) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(layer.num_features, eps=layer.eps).eval()
    norm.load_state_dict(layer.state_dict())
    return norm
