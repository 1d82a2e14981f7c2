"""The module's own arithmetic: how hard and soft labels make up the loss."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn import functional


def test_the_loss_is_the_share_of_each_kind_of_label(make_module: Callable[..., Any]) -> None:
    module = make_module(teaching=0.25, augment={"flip": 0.0})
    module._trainer = SimpleNamespace(is_last_batch=False, current_epoch=0)
    images, labels = torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8), torch.arange(6) % 5
    answers = torch.softmax(torch.randn(6, 5), 1)
    logits = module(images)
    hard = functional.cross_entropy(logits, labels, label_smoothing=module.optim["label_smoothing"])
    soft = functional.cross_entropy(logits, answers)
    assert torch.allclose(module.training_step([images, labels, answers], 0), 0.75 * hard + 0.25 * soft)
    assert torch.allclose(module.training_step([images, labels], 0), hard)
