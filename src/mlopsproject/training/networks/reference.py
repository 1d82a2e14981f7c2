"""The small reference CNN: the shape that simple facial-expression projects use, kept as a yardstick."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from mlopsproject.training.networks.base import Network


class ReferenceCNN(Network):
    """Blocks of convolution, ReLU and 2x2 max-pooling, one hidden linear layer and dropout.

    With its defaults on 64x64 gray input: 4, 8 and 16 filters, 64 -> 32 -> 16 -> 8 pixels, 266 k parameters.

    Args:
        classes: number of logits.
        channels: input channels, 1 or 3.
        size: input height and width in pixels.
        filters: output channels of each block.
        hidden: width of the hidden layer, which is the embedding.
        dropout: probability of zeroing a hidden unit while training.

    Raises:
        ValueError: if nothing is left of the picture after the blocks.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        size: int,
        filters: Sequence[int] = (4, 8, 16),
        hidden: int = 256,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        widths = [channels, *filters]
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.blocks = nn.Sequential(*blocks, nn.Flatten())
        if size < 2 ** len(filters):
            raise ValueError(f"{size} x {size} pixels are too small for {len(filters)} blocks that halve them")
        flat = widths[-1] * (size // 2 ** len(filters)) ** 2
        self.hidden = nn.Sequential(nn.Linear(flat, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout))
        self.head = nn.Linear(hidden, classes)

    def embed(self, image: Tensor) -> Tensor:
        """See `Network.embed`."""
        embedding: Tensor = self.hidden(self.blocks(image))
        return embedding
