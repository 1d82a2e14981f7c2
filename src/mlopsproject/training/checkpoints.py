"""Finding, checking and loading checkpoints, and starting a network from a shipped bundle."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, DataError, first_line
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import open_dataset
from mlopsproject.training.export import load_weights
from mlopsproject.training.module import ExpressionModule

log = logging.getLogger(__name__)

#: Where training runs write.
RUNS = Path("runs/train")


def find_checkpoint(given: str, runs: Path = RUNS, *, key: str = "resume", file: str = "last.ckpt") -> Path:
    """Turn what a config names into a checkpoint's path.

    Args:
        given: a checkpoint, a run's folder, or `latest` for the newest run that has one.
        runs: folder that holds the runs that `latest` chooses from, the same for every job.
        key: the config key it was given as, for messages.
        file: which of a run's checkpoints is meant, `last.ckpt` (to go on) or `best.ckpt` (to ship).

    Raises:
        BundleError: if there is none.
    """
    if given == "latest":
        found = sorted(runs.glob(f"*/checkpoints/{file}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise BundleError(f"{key}=latest, but no run under {runs} has a checkpoints/{file}.")
        return found[-1]
    path = Path(given)
    path = path / "checkpoints" / file if path.is_dir() else path
    if not path.is_file():
        raise BundleError(f"{key}={given}: there is no checkpoint {path}.", "Give a .ckpt file or a run's folder.")
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
        like: refuse a checkpoint that was trained with other settings than this module, see `check_same_run`.

    Raises:
        BundleError: if the file is damaged, or was trained otherwise than `like`.
    """
    checkpoint = read_checkpoint(path)
    settings = dict(checkpoint["hyper_parameters"])
    if like is not None:
        check_same_run(path, settings, like.hparams)
    settings["compile_network"] = False
    try:
        module = ExpressionModule(**settings)
        module.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError, ValueError) as error:
        raise BundleError(
            f"{path} does not fit the network it names: {first_line(error)}", "Use another checkpoint."
        ) from error
    return module.eval()


#: What a resumed run must share with the run it goes on with, and what stands before the entries' names in the config.
_SAME_RUN = {
    "model": "model.",
    "classes": "",
    "input_spec": "data.",
    "data": "data.",
    "lr": "",
    "optim": "optim.",
    "augment": "augment.",
    "seed": "",
    "record": "",
}
#: Hyperparameters that gained entries over time: what an older checkpoint does not tell is not compared.
_GROWN = ("data", "model", "record")


def check_same_run(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to resume with other settings: the result would look like one run and be reproducible by none.

    `epochs` may change, which is how a run is extended.

    Args:
        path: of the checkpoint, for messages.
        before: its hyperparameters.
        now: those of the run that is about to go on.

    Raises:
        BundleError: naming the first setting that differs, with both values.
    """
    for group, prefix in _SAME_RUN.items():
        if group not in before:
            continue
        key, old, new = _difference(group, prefix, before[group], now[group])
        if old == new:
            continue
        if key == "data.fingerprint":
            raise BundleError(
                f"{path} was trained on other images of data set '{before[group]['name']}' than are there now.",
                "Import that data again, or start without resume= (model.init_from= takes a bundle).",
            )
        raise BundleError(
            f"{path} was trained with {key}={old}, not {new}.",
            "Use the settings it was trained with, or start without resume= (model.init_from= takes a bundle).",
        )


def _difference(group: str, prefix: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Narrow two values of a hyperparameter down to the first entry that differs, named as in the config."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted(before if group in _GROWN else before.keys() | now.keys())
        # The fingerprint last: another data set is better told by its name.
        for name in sorted(names, key="fingerprint".__eq__):
            if before.get(name) != now.get(name):
                return f"{prefix}{name}", before.get(name), now.get(name)
        return group, None, None
    return group, before, now


def start_from_bundle(module: ExpressionModule, bundle: Bundle, spec: InputSpec) -> None:
    """Fill a module's network with a bundle's weights (`model.init_from`).

    Raises:
        BundleError: if the bundle holds another architecture or number of channels.
    """
    if bundle.spec.input.channels != spec.channels:
        raise BundleError(
            f"model.init_from: {bundle.name} takes {bundle.spec.input.channels} channel(s), not {spec.channels}.",
            f"Use data.channels={bundle.spec.input.channels}.",
        )
    classes, known = module.hparams["classes"], bundle.spec.classes
    load_weights(module.network, bundle.file("weights.safetensors"), source=bundle.name, classes=classes, known=known)
    new = [name for name in classes if name not in known]
    log.info("Started from bundle %s%s", bundle.name, f", which does not know {', '.join(new)}" if new else "")


def open_training_data(module: ExpressionModule, root: str | Path, *, name: str | None = None) -> FaceDataset:
    """Open the data a module was trained on.

    Args:
        module: rebuilt from a checkpoint.
        root: where data sets live.
        name: another data set to open in its place.

    Raises:
        DataError: if it is missing or, where no other was asked for, no longer the one it was.
    """
    trained_on = module.hparams["data"]
    data = {**trained_on, "root": root, "name": name or trained_on["name"]}
    dataset = open_dataset(data, module.input_spec, classes=module.hparams["classes"])
    if not name and dataset.fingerprint != trained_on["fingerprint"]:
        raise DataError(
            f"data set '{dataset.name}' is no longer the one this checkpoint was trained on.",
            f"Import that data again, or say data.name={dataset.name} to measure on what is there now.",
        )
    return dataset
