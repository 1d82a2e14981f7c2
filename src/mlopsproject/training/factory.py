"""The one place where config names become objects, limited to the packages a training run needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from mlopsproject.core.errors import ConfigError, first_line
from mlopsproject.training.networks import Network

ALLOWED = ("mlopsproject.", "torch.", "torchvision.", "pytorch_lightning.")
#: What stands beside a network's arguments: where it began, and what a bundle's spec records.
_NO_ARGUMENTS = ("init_from", "parameters", "macs")


def build(config: Mapping[str, Any], **arguments: Any) -> Any:
    """Instantiate what `config` names in `_target_`.

    Raises:
        ConfigError: for a target outside `ALLOWED`, one that does not exist, or arguments it does not take.
    """
    target = str(config.get("_target_", ""))
    if not target.startswith(ALLOWED):
        raise ConfigError(f"_target_={target!r} may not be built from a config.", f"Allowed: {', '.join(ALLOWED)}…")
    try:
        return instantiate(dict(config), **arguments)
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise ConfigError(f"cannot build {target}: {first_line(cause)}") from error


def build_network(model: Mapping[str, Any], *, classes: int, channels: int, size: int) -> Network:
    """Build a network from its YAML (`configs/model/*.yaml`), or from `network` of a bundle's spec.

    Args:
        model: `_target_` and arguments; what a spec records beside them, and `init_from`, are ignored.
        classes: number of logits.
        channels: input channels.
        size: input height and width in pixels.

    Raises:
        ConfigError: if the target is no `Network`, or does not take the arguments.
    """
    settings = {key: value for key, value in model.items() if key not in _NO_ARGUMENTS}
    network = build(settings, classes=classes, channels=channels, size=size)
    if not isinstance(network, Network):
        raise ConfigError(f"model._target_={settings['_target_']!r} is not a mlopsproject Network.")
    return network
