"""Optimisers and learning-rate schedules."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from mlopsproject.core.errors import ConfigError
from mlopsproject.training.networks import SEConvNet
from mlopsproject.training.optimisation import build_optimiser, build_schedule

OPTIM: dict[str, Any] = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.05, "schedule": "cosine", "warmup": 0.1}


def rates(total: int, **changes: Any) -> list[float]:
    """The learning rate of every step of a schedule with a peak of 1."""
    optimiser = build_optimiser(nn.Linear(2, 2), 1.0, OPTIM)
    schedule = build_schedule(optimiser, OPTIM | changes, total)
    seen = []
    for _ in range(total):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_weight_decay_leaves_out_biases_and_normalisation(name: str) -> None:
    network = SEConvNet(classes=5, channels=1, size=16, widths=(8, 16))
    optimiser = build_optimiser(network, 0.1, OPTIM | {"name": name})
    spared = {id(p) for group in optimiser.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] == 0.05 for p in group["params"]}
    assert len(spared) + len(decayed) == len(list(network.parameters()))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert {id(module.weight), id(module.bias)} <= spared
        elif isinstance(module, nn.Conv2d | nn.Linear):
            assert id(module.weight) in decayed
            assert module.bias is None or id(module.bias) in spared


def test_sgd_has_nesterov_momentum() -> None:
    group = build_optimiser(nn.Linear(2, 2), 0.1, OPTIM).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["lr"]) == (0.9, True, 0.1)


def test_without_momentum_sgd_is_plain() -> None:
    group = build_optimiser(nn.Linear(2, 2), 0.1, OPTIM | {"momentum": 0.0}).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.0, False)


def test_constant_stays_at_the_peak_after_warm_up() -> None:
    assert rates(10, schedule="constant", warmup=0.0) == [1.0] * 10
    assert rates(10, schedule="constant", warmup=0.4) == [0.25, 0.5, 0.75] + [1.0] * 7


def test_cosine_warms_up_to_the_peak_and_falls_to_almost_zero() -> None:
    seen = rates(100, schedule="cosine", warmup=0.1)
    assert seen[0] == pytest.approx(0.1)
    assert seen[9] == seen[10] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(seen[10:]))
    assert seen[55] == pytest.approx(0.5)
    assert seen[-1] < 0.001


def test_one_cycle_rises_for_a_fifth_of_the_steps_at_least() -> None:
    seen = rates(100, schedule="one_cycle", warmup=0.0)
    assert seen[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert max(seen) == seen[19] == 1.0
    assert rates(100, schedule="one_cycle", warmup=0.5)[49] == 1.0


def test_steps_beyond_the_plan_stay_at_the_end() -> None:
    optimiser = build_optimiser(nn.Linear(2, 2), 1.0, OPTIM)
    schedule = build_schedule(optimiser, OPTIM, 10)
    for _ in range(20):
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize(("name", "meant"), [("sdg", "sgd"), ("adamm", "adam"), ("AdamW", "adamw")])
def test_an_unknown_optimiser_names_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"optim\.name='{name}'.*'{meant}'"):
        build_optimiser(nn.Linear(2, 2), 0.1, OPTIM | {"name": name})


def test_an_unknown_schedule_names_the_nearest() -> None:
    optimiser = torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)
    with pytest.raises(ConfigError, match=r"'onecycle'.*'one_cycle'"):
        build_schedule(optimiser, OPTIM | {"schedule": "onecycle"}, 10)
    with pytest.raises(ConfigError, match=r"Known: constant, cosine, one_cycle"):
        build_schedule(optimiser, OPTIM | {"schedule": "zzz"}, 10)
