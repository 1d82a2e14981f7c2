"""Finding, checking and loading checkpoints, and starting a network from a shipped bundle."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch

from mlopsproject.core.errors import BundleError
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import resolve_bundle
from mlopsproject.training.export import load_weights
from mlopsproject.training.module import ExpressionModule

log = logging.getLogger(__name__)


def find_checkpoint(resume: str, runs: Path) -> Path:
    """Turn `resume=PATH|latest` into a checkpoint's path.

    Args:
        resume: a checkpoint, a run's folder, or `latest` for the newest run that has one.
        runs: folder that holds the runs.

    Raises:
        BundleError: if there is none.
    """
    if resume == "latest":
        found = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise BundleError(f"resume=latest, but no run under {runs} has a checkpoints/last.ckpt.")
        return found[-1]
    path = Path(resume)
    path = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
    if not path.is_file():
        raise BundleError(f"resume={resume}: there is no checkpoint {path}.", "Give a .ckpt file or a run's folder.")
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint's contents, primitives and tensors only.

    Raises:
        BundleError: if the file is missing, damaged or none of ours.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not {"state_dict", "hyper_parameters"} <= set(checkpoint):
            raise KeyError("hyper_parameters")
    except FileNotFoundError:
        raise BundleError(f"there is no checkpoint {path}.") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, LookupError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is damaged or not a checkpoint of this project.", "Use another one.") from error
    return checkpoint


def load_module(path: Path, *, like: ExpressionModule | None = None) -> ExpressionModule:
    """Rebuild a trained module from a checkpoint, in evaluation mode.

    Args:
        path: of the checkpoint.
        like: refuse a checkpoint whose network, classes or input differ from this module's.

    Raises:
        BundleError: if the file is damaged, or is of another architecture than `like`.
    """
    checkpoint = read_checkpoint(path)
    settings = dict(checkpoint["hyper_parameters"])
    if like is not None:
        for key in ("model", "classes", "input_spec"):
            if settings.get(key) != like.hparams[key]:
                raise BundleError(
                    f"{path} was trained with {key}={settings.get(key)}, not {like.hparams[key]}.",
                    "Use the settings it was trained with, or start without resume=.",
                )
    settings["compile_network"] = False
    try:
        module = ExpressionModule(**settings)
        module.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path} does not fit the network it names: {reason}", "Use another checkpoint.") from error
    return module.eval()


def start_from_bundle(module: ExpressionModule, uri: str, spec: InputSpec, *, store: str) -> None:
    """Fill a module's network with a bundle's weights (`model.init_from`).

    Raises:
        BundleError: if the bundle is missing or damaged, or holds another architecture or number of channels.
    """
    bundle = resolve_bundle(uri, store)
    if bundle.spec.input.channels != spec.channels:
        raise BundleError(
            f"model.init_from={uri}: that bundle takes {bundle.spec.input.channels} channel(s), not {spec.channels}.",
            f"Use data.channels={bundle.spec.input.channels}.",
        )
    same_classes = list(bundle.spec.classes) == list(module.hparams["classes"])
    load_weights(module.network, bundle.file("weights.safetensors"), source=uri, head=same_classes)
    log.info("Started from bundle %s%s", bundle.spec.name, "" if same_classes else " with a new head")
