"""Open the data set a config names; a folder of that name beside the project is imported by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlopsproject.core.checks import check_channels
from mlopsproject.core.classes import KNOWN
from mlopsproject.core.errors import ConfigError
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.labelling import own_classes, recorded_labels
from mlopsproject.data.limits import Limits
from mlopsproject.data.manifest import IMPORT_FILE, read_import
from mlopsproject.data.placing import restore_replaced
from mlopsproject.data.sources import open_source
from mlopsproject.data.votes import LabelRule

log = logging.getLogger(__name__)


def open_dataset(
    data: Mapping[str, Any], spec: InputSpec, *, classes: Sequence[str], complete: bool = True
) -> FaceDataset:
    """Open the data set `data.name` at the network's input size.

    A folder of that name in the working directory (as DVC pulls `train_data/`) is imported first if that has not
    happened, and again, with the same options, when its files have changed since.

    Args:
        data: the config's `data` group: `name`, `root`, `drop_twins`, `leave_out`, `validate_on`, and what `LabelRule`
            has.
        spec: the input that images are cached for.
        classes: the chosen classes in output order.
        complete: insist on images of every chosen class in every split, as training needs.

    Raises:
        UserError: no such data set or folder, or what `import_dataset` and `load_dataset` raise.
    """
    name, root = str(data["name"]), Path(data["root"])
    import_folder(name, root, spec, classes)
    return load_dataset(
        name,
        root=root,
        classes=classes,
        size=spec.size,
        channels=spec.channels,
        resize_filter=spec.resize_filter,
        drop_twins=bool(data.get("drop_twins", False)),
        leave_out=data.get("leave_out"),
        validate_on=data.get("validate_on"),
        rule=LabelRule.of(data),
        complete=complete,
    )


def import_folder(name: str, root: Path, spec: InputSpec, classes: Sequence[str]) -> None:
    """Import the folder `name` of the working directory, unless there is none or it has been imported as it is.

    A folder that has changed is imported again with the options of its last import.

    Args:
        name: of the folder and of the data set.
        root: where data sets live.
        spec: the input to cache for, if it is the first import.
        classes: the chosen classes, which may name further ones of the user's own.

    Raises:
        UserError: a damaged `import.json`, or what `import_dataset` raises.
    """
    folder, own = Path(name), own_classes(classes)
    restore_replaced(root / name)
    if not folder.is_dir():
        return
    if not (root / name / IMPORT_FILE).is_file():
        log.info("Importing %s/ as data set '%s'", folder, name)
        import_dataset(
            folder,
            name,
            root=root,
            classes=(*KNOWN, *own),
            size=spec.size,
            channels=spec.channels,
            resize_filter=spec.resize_filter,
        )
        return
    info = read_import(root / name)
    # Imported from elsewhere under this name: that is what the user wants to train on.
    if _is_own(folder, info["source"]):
        _import_again_if_changed(folder, name, root, info, own)


def _import_again_if_changed(
    folder: Path, name: str, root: Path, info: Mapping[str, Any], own: tuple[str, ...]
) -> None:
    options = dict(info["options"])
    own = tuple(dict.fromkeys((*own_classes((*KNOWN, *options.pop("own_classes"))), *own)))
    labels = recorded_labels({**options, "own_classes": own})
    if open_source(folder, labels, Limits.of(options)).scan().fingerprint != info["source"]["fingerprint"]:
        log.info("%s/ has changed: importing it again as data set '%s', with the same options", folder, name)
        import_dataset(folder, name, root=root, classes=(*KNOWN, *own), **options)


def _is_own(folder: Path, source: Mapping[str, Any]) -> bool:
    """Whether a data set was imported from this folder, which may have moved since, together with the project."""
    here, location = folder.resolve(), Path(source["location"])
    if here in (location, Path(source["given"]).expanduser().resolve()):
        return True
    # Another name means another source, such as an archive deleted after its import.
    return not location.exists() and location.name == here.name


def input_spec(data: Mapping[str, Any]) -> InputSpec:
    """The network's input as the `data` group describes it; one mean or std serves all channels.

    Raises:
        ConfigError: for a value that no input can have, such as `data.channels=2`.
    """
    channels = data["channels"]
    check_channels("data.channels", channels)
    for name in ("mean", "std"):
        if not isinstance(data[name], Sequence) or isinstance(data[name], str):
            raise ConfigError(f"data.{name}={data[name]!r} is not possible.", "Give a list such as [0.5].")
    mean, std = (list(data[name]) * (channels if len(data[name]) == 1 else 1) for name in ("mean", "std"))
    try:
        return InputSpec(size=data["size"], channels=channels, resize_filter=data["resize_filter"], mean=mean, std=std)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["data", *map(str, first["loc"])])
        raise ConfigError(f"{key}={first['input']} is not possible.", f"{first['msg']}.") from error
