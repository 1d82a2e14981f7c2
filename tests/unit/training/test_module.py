"""The module's own arithmetic: how hard and soft labels make up the loss."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8), torch.arange(6) % 5


def module_of(make_module: Callable[..., Any], **options: Any) -> Any:
    module = make_module(augment={"flip": 0.0}, **options)
    module._trainer = SimpleNamespace(is_last_batch=False, current_epoch=0)
    return module


def test_pictures_are_taught_their_smoothed_label_or_what_the_batch_says(
    make_module: Callable[..., Any], batch: tuple[Tensor, Tensor]
) -> None:
    module, (images, labels) = module_of(make_module), batch
    logits, targets = module(images), torch.softmax(torch.randn(6, 5), 1)
    hard = functional.cross_entropy(logits, labels, label_smoothing=module.optim["label_smoothing"])
    assert torch.allclose(module.training_step([images, labels], 0), hard)
    soft = functional.cross_entropy(logits, targets)
    assert torch.allclose(module.training_step([images, labels, targets], 0), soft)


def test_online_teachers_have_their_share_of_the_loss(
    make_module: Callable[..., Any], batch: tuple[Tensor, Tensor]
) -> None:
    module, (images, labels) = module_of(make_module, teaching=0.25), batch
    answers, targets = torch.softmax(torch.randn(6, 5), 1), torch.softmax(torch.randn(6, 5), 1)
    module.teachers = SimpleNamespace(answers=lambda pictures: answers)
    logits = module(images)
    wanted = 0.75 * functional.cross_entropy(logits, targets) + 0.25 * functional.cross_entropy(logits, answers)
    assert torch.allclose(module.training_step([images, labels, targets], 0), wanted)


def test_logits_are_adjusted_in_the_loss_alone(make_module: Callable[..., Any], batch: tuple[Tensor, Tensor]) -> None:
    plain, (images, labels) = module_of(make_module), batch
    prior = [0.5, 0.2, 0.1, 0.1, 0.1]
    optim = plain.optim | {"label_smoothing": 0.0, "logit_adjustment": 0.5}
    module = module_of(make_module, optim=optim, prior=prior)
    module.network.load_state_dict(plain.network.state_dict())
    logits = module(images)
    assert torch.equal(logits, plain(images))
    wanted = functional.cross_entropy(logits + 0.5 * torch.tensor(prior).log(), labels)
    assert torch.allclose(module.training_step([images, labels], 0), wanted)
