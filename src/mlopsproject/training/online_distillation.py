"""Online distillation: in each step the teachers answer to the batch as it was augmented and mixed for the network.

Asked once about the plain pictures, a teacher mostly repeats the labels, which it learnt itself. Shown each augmented
and mixed picture, it says something new every time, and the network learns to be the same function (Beyer et al., 2022,
"Knowledge distillation: A good teacher is patient and consistent").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError
from mlopsproject.core.spec import InputSpec
from mlopsproject.training.export import load_weights
from mlopsproject.training.factory import build_network
from mlopsproject.training.networks import Network


@dataclass(frozen=True)
class _Teacher:
    network: Network
    columns: list[int]
    temperature: float
    mean: Tensor
    std: Tensor


class OnlineTeachers:
    """Networks of bundles, frozen, that answer to training pictures.

    Not a module, so that no checkpoint of the network that is taught holds its teachers.

    Args:
        bundles: of the teachers; all take pictures of the run's size and channels.
        classes: of the run, which the teachers know, see `distillation.open_teachers`.
        spec: the run's input.

    Raises:
        BundleError: for a teacher whose pictures have another size, or whose weights do not fit its spec.
    """

    def __init__(self, bundles: Sequence[Bundle], classes: Sequence[str], spec: InputSpec) -> None:
        self._teachers = [_open(bundle, classes, spec) for bundle in bundles]
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the networks to where the pictures are."""
        if device != self._device:
            self._teachers = [
                _Teacher(t.network.to(device), t.columns, t.temperature, t.mean.to(device), t.std.to(device))
                for t in self._teachers
            ]
            self._device = device

    @torch.no_grad()
    def answers(self, pictures: Tensor) -> Tensor:
        """What the teachers say.

        Args:
            pictures: float `[N, C, H, W]`, 0-1.

        Returns:
            Their mean calibrated probabilities of the run's classes, float32 `[N, K]`.
        """
        self.to(pictures.device)
        return torch.stack([_ask(teacher, pictures) for teacher in self._teachers]).mean(0)


def _ask(teacher: _Teacher, pictures: Tensor) -> Tensor:
    seen = ((pictures - teacher.mean) / teacher.std).contiguous(memory_format=torch.channels_last)
    logits = teacher.network(seen).float()[:, teacher.columns]
    # Without the other classes the rest must add up to 1 again: a softmax over fewer logits.
    return torch.softmax(logits / teacher.temperature, 1)


def _open(bundle: Bundle, classes: Sequence[str], spec: InputSpec) -> _Teacher:
    own, known = bundle.spec.input, list(bundle.spec.classes)
    if (own.size, own.channels) != (spec.size, spec.channels):
        raise BundleError(
            f"distill.online=true: {bundle.name} takes {own.channels} x {own.size} x {own.size} pictures.",
            f"Use data.size={own.size} data.channels={own.channels}, or distill.online=false.",
        )
    network = build_network(bundle.spec.network, classes=len(known), channels=own.channels, size=own.size)
    load_weights(network, bundle.file("weights.safetensors"), source=bundle.name, classes=known, known=known)
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    columns = [known.index(name) for name in classes]
    temperature = bundle.spec.precisions["fp32"].temperature
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (own.mean, own.std))
    return _Teacher(network, columns, temperature, mean, std)
