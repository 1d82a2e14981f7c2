"""What every network offers, so that one LightningModule trains and one exporter ships any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A picture classifier split into an embedding and a linear head.

    Subclasses set `head` and implement `embed`. Constructor arguments `classes`, `channels` and `size` are
    passed by the factory; all others come from the network's YAML.
    """

    head: nn.Linear

    @abstractmethod
    def embed(self, image: Tensor) -> Tensor:
        """Map normalised pictures, float `[N, C, H, W]`, to embeddings, float `[N, E]`."""

    def forward(self, image: Tensor) -> Tensor:
        """Map normalised pictures, float `[N, C, H, W]`, to logits, float `[N, classes]`."""
        return self.classify(self.embed(image))

    def classify(self, embedding: Tensor) -> Tensor:
        """Map embeddings, float `[N, E]`, to logits, float `[N, classes]`."""
        logits: Tensor = self.head(embedding)
        return logits


class PooledNetwork(Network):
    """Convolutional stages whose mean over all places is the embedding, and a linear head behind dropout.

    Args:
        stages: map pictures `[N, C, H, W]` to features `[N, width, h, w]`, one after the other.
        width: channels of the features.
        classes: number of logits.
        dropout: probability of zeroing an embedding value before the head while training.
    """

    def __init__(self, stages: Sequence[nn.Module], *, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def embed(self, image: Tensor) -> Tensor:
        """See `Network.embed`."""
        features: Tensor = self.stages(image)
        return features.mean((2, 3))

    def classify(self, embedding: Tensor) -> Tensor:
        """See `Network.classify`."""
        logits: Tensor = self.head(self.dropout(embedding))
        return logits


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network: nn.Module, channels: int, size: int) -> int:
    """Multiply-accumulates for one picture of `size` x `size` pixels.

    Counted are convolutions, linear layers and modules that tell their own number per channel as `macs`.
    """
    macs = channels * sum(number for m in network.modules() if isinstance(number := getattr(m, "macs", None), int))

    def add(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        weight = module.weight
        assert isinstance(weight, Tensor)
        macs += output.numel() * weight[0].numel()

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, channels, size, size))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return macs
