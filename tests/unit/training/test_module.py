"""The module's own arithmetic: how hard and soft labels make up the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def test_the_loss_is_the_share_of_each_kind_of_label(make_module: Callable[..., Any]) -> None:
    module = make_module(teaching=0.25)
    logits, labels = torch.randn(6, 5), torch.arange(6) % 5
    answers = torch.softmax(torch.randn(6, 5), 1)
    hard, soft = functional.cross_entropy(logits, labels), functional.cross_entropy(logits, answers)
    assert torch.allclose(module._loss(logits, labels, [answers]), 0.75 * hard + 0.25 * soft)
    assert torch.allclose(module._loss(logits, labels, []), hard)
