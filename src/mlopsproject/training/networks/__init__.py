"""Interchangeable networks: each a plain `nn.Module` with an `embed` and a `head`, and one YAML in `configs/model/`."""

from mlopsproject.training.networks.base import Network, count_macs, count_parameters
from mlopsproject.training.networks.reference import ReferenceCNN
from mlopsproject.training.networks.residual import ResidualNet
from mlopsproject.training.networks.se_convnet import SEConvNet

__all__ = ["Network", "ReferenceCNN", "ResidualNet", "SEConvNet", "count_macs", "count_parameters"]
