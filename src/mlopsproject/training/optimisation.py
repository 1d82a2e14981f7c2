"""Optimisers with their learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mlopsproject.core.checks import check_choice, check_number

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
SCHEDULES = ("constant", "cosine", "one_cycle")


def check_optim(optim: Mapping[str, Any]) -> None:
    """Refuse values of the `optim` group that no run can have.

    Raises:
        ConfigError: naming the key.
    """
    check_choice("optim.name", optim["name"], OPTIMISERS)
    check_choice("optim.schedule", optim["schedule"], SCHEDULES)
    check_number("optim.weight_decay", optim["weight_decay"])
    for key in ("momentum", "warmup", "label_smoothing"):
        check_number(f"optim.{key}", optim[key], highest=1)
    check_number("optim.logit_adjustment", optim["logit_adjustment"], highest=2)


def build_optimiser(network: nn.Module, lr: float, optim: Mapping[str, Any]) -> Optimizer:
    """An optimiser whose weight decay leaves out biases and normalisation layers.

    Args:
        network: whose parameters to train.
        lr: peak learning rate.
        optim: `name` (`sgd`, `adam`, `adamw`), `weight_decay`, and `momentum` for SGD (with Nesterov's form).

    Raises:
        ConfigError: for an unknown name.
    """
    name = str(optim["name"])
    check_choice("optim.name", name, OPTIMISERS)
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": float(optim["weight_decay"])},
        {"params": vectors, "weight_decay": 0.0},
    ]
    momentum = float(optim["momentum"])
    extra: dict[str, Any] = {"momentum": momentum, "nesterov": momentum > 0} if name == "sgd" else {}
    return OPTIMISERS[name](groups, lr=lr, **extra)


def build_schedule(optimiser: Optimizer, optim: Mapping[str, Any], total_steps: int) -> LambdaLR:
    """A per-step learning-rate schedule: linear warm-up, then `constant`, `cosine` or `one_cycle`.

    `cosine` falls to 0 over the steps after `warmup` (a fraction of all steps); `one_cycle` is the same with the
    longer rise of Smith and Topin (2018), `warmup` at least 0.2.

    Raises:
        ConfigError: for an unknown schedule.
    """
    schedule = str(optim["schedule"])
    check_choice("optim.schedule", schedule, SCHEDULES)
    share = float(optim["warmup"])
    warmup = max(1, round(total_steps * (max(share, 0.2) if schedule == "one_cycle" else share)))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        if schedule == "constant":
            return 1.0
        progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimiser, factor)
