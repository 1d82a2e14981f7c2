"""Averaged weights: how far back the average reaches."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from mlopsproject.training.callbacks import AveragedWeights


def averages(callback: AveragedWeights, steps: int) -> list[float]:
    """The average after each step of a weight that is 0, 1, 2, …"""
    model = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, multi_avg_fn=callback._kwargs["multi_avg_fn"])
    found = []
    for step in range(steps):
        with torch.no_grad():
            model.weight.fill_(step)
        averaged.update_parameters(model)
        found.append(averaged.module.weight.item())
    return found


def test_a_ramp_of_two_is_the_mean_of_all_steps():
    found = averages(AveragedWeights(0.9999, ramp=2), 400)
    # PyTorch begins with the first step twice.
    assert found == pytest.approx([sum(range(step + 1)) / (step + 2) for step in range(400)], rel=1e-4)


def test_a_longer_ramp_reaches_back_a_smaller_share_of_the_run():
    short, long = (averages(AveragedWeights(0.9999, ramp=ramp), 400)[-1] for ramp in (20, 3))
    assert 399 - short == pytest.approx(400 / 20, rel=0.1)
    assert 399 - long == pytest.approx(400 / 3, rel=0.1)


def test_the_decay_is_the_longest_memory():
    assert 399 - averages(AveragedWeights(0.9, ramp=2), 400)[-1] == pytest.approx(9, rel=0.05)
