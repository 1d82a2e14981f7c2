"""Networks as data: a list of layers in YAML, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor, nn

from mlopsproject.training.networks.base import Network

#: What a layer may be, and the options beside its main value.
LAYERS: Final[dict[str, tuple[str, ...]]] = {"conv": ("kernel", "norm"), "pool": (), "dropout": (), "dense": ("norm",)}


class StackedNet(Network):
    """Layers one after the other, as `configs/model/` lists them.

    `{conv: 32}` is a convolution of 32 channels (`kernel: 3`) and ReLU, `{pool: 2}` max-pooling, `{dropout: 0.25}`
    leaves values out while training, `{dense: 1024}` is a linear layer and ReLU. `norm: true` puts BatchNorm before the
    ReLU. What comes out last is the embedding: of the last dense layer or, without one, the mean over all places.

    Args:
        classes: number of logits.
        channels: input channels, 1 or 3.
        size: input height and width in pixels.
        layers: in order, each a mapping of its kind to its main value, and options.
        padding: of convolutions: `same` keeps height and width, `valid` takes a border off.
        norm: false leaves every BatchNorm out.
        dropout: false leaves every dropout out.

    Raises:
        ValueError: for a layer that is not possible, or if nothing is left of the picture.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        size: int,
        layers: Sequence[Mapping[str, Any]],
        padding: str = "same",
        norm: bool = True,
        dropout: bool = True,
    ) -> None:
        super().__init__()
        if padding not in ("same", "valid"):
            raise ValueError(f"padding={padding!r} is not possible; one of: same, valid")
        self._padding, self._norm, self._dropout = padding, norm, dropout
        width, side, flat = channels, size, False
        built: list[nn.Module] = []
        for number, layer in enumerate(layers):
            kind, value = _read(layer, f"layers[{number}]")
            if kind == "conv":
                if flat:
                    raise ValueError(f"layers[{number}]: a convolution cannot follow a dense layer")
                kernel = int(layer.get("kernel", 3))
                built += self._conv(width, value, kernel, norm=bool(layer.get("norm", False)))
                width, side = value, side - (kernel - 1 if padding == "valid" else 0)
            elif kind == "pool":
                built.append(nn.MaxPool2d(value))
                side //= value
            elif kind == "dropout" and dropout:
                built.append(nn.Dropout(value))
            elif kind == "dense":
                if not flat:
                    built.append(nn.Flatten())
                built += self._dense(width if flat else width * side**2, value, norm=bool(layer.get("norm", False)))
                width, flat = value, True
            if side < 1:
                raise ValueError(f"layers[{number}]: nothing is left of {size} x {size} pixels")
        self.layers = nn.Sequential(*built)
        self.head = nn.Linear(width, classes)

    def embed(self, image: Tensor) -> Tensor:
        """See `Network.embed`."""
        features: Tensor = self.layers(image)
        return features.mean((2, 3)) if features.ndim == 4 else features

    def _conv(self, before: int, after: int, kernel: int, *, norm: bool) -> list[nn.Module]:
        layers: list[nn.Module] = [nn.Conv2d(before, after, kernel, padding=self._padding)]
        if norm and self._norm:
            layers.append(nn.BatchNorm2d(after))
        return [*layers, nn.ReLU(inplace=True)]

    def _dense(self, before: int, after: int, *, norm: bool) -> list[nn.Module]:
        layers: list[nn.Module] = [nn.Linear(before, after)]
        if norm and self._norm:
            layers.append(nn.BatchNorm1d(after))
        return [*layers, nn.ReLU(inplace=True)]


def _read(layer: Mapping[str, Any], place: str) -> tuple[str, Any]:
    """Kind and main value of a layer.

    Raises:
        ValueError: naming what is wrong with it.
    """
    kinds = [kind for kind in LAYERS if kind in layer]
    if len(kinds) != 1:
        raise ValueError(f"{place} is {dict(layer)}; a layer has one of: {', '.join(LAYERS)}")
    kind, value = kinds[0], layer[kinds[0]]
    if unknown := set(layer) - {kind, *LAYERS[kind]}:
        raise ValueError(f"{place}: {kind} has no option {', '.join(sorted(unknown))}")
    possible = 0 <= value < 1 if kind == "dropout" else isinstance(value, int) and value >= 1
    if not possible:
        raise ValueError(f"{place}: {kind}={value} is not possible")
    return kind, value
