"""Interchangeable networks: each a plain `nn.Module` with an `embed` and a `head`, and one YAML in `configs/model/`."""

from mlopsproject.training.networks.base import Network, count_macs, count_parameters
from mlopsproject.training.networks.mini_xception import MiniXception
from mlopsproject.training.networks.reference import ReferenceCNN
from mlopsproject.training.networks.residual import ResidualNet
from mlopsproject.training.networks.se_convnet import SEConvNet
from mlopsproject.training.networks.stacked import StackedNet

__all__ = [
    "MiniXception",
    "Network",
    "ReferenceCNN",
    "ResidualNet",
    "SEConvNet",
    "StackedNet",
    "count_macs",
    "count_parameters",
]
