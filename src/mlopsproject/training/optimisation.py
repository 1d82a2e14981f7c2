"""Optimisers with their learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mlopsproject.core.errors import ConfigError, nearest

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
SCHEDULES = ("constant", "cosine", "one_cycle")


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
    if name not in OPTIMISERS:
        known = ", ".join(OPTIMISERS)
        raise ConfigError(f"optim.name={name!r} is not known;", nearest(name, OPTIMISERS) or f"choose one of {known}.")
    matrices = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": float(optim["weight_decay"])},
        {"params": vectors, "weight_decay": 0.0},
    ]
    extra: dict[str, Any] = {"momentum": float(optim["momentum"]), "nesterov": True} if name == "sgd" else {}
    return OPTIMISERS[name](groups, lr=lr, **extra)


def build_schedule(optimiser: Optimizer, optim: Mapping[str, Any], total_steps: int) -> LambdaLR:
    """A per-step learning-rate schedule: linear warm-up, then `constant`, `cosine` or `one_cycle`.

    `cosine` falls to 0 over the steps after `warmup` (a fraction of all steps); `one_cycle` is the same with the
    longer rise of Smith and Topin (2018), `warmup` at least 0.2.

    Raises:
        ConfigError: for an unknown schedule.
    """
    schedule = str(optim["schedule"])
    if schedule not in SCHEDULES:
        hint = nearest(schedule, SCHEDULES) or f"choose one of {', '.join(SCHEDULES)}."
        raise ConfigError(f"optim.schedule={schedule!r} is not known;", hint)
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
