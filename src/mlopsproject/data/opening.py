"""Open the data set a config names; a folder of that name beside the project is imported by itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlopsproject.core.errors import ConfigError
from mlopsproject.core.spec import InputSpec
from mlopsproject.data.dataset import FaceDataset, load_dataset
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.labelling import own_classes
from mlopsproject.data.manifest import IMPORT_FILE
from mlopsproject.data.sources import open_source

log = logging.getLogger(__name__)


def open_dataset(
    data: Mapping[str, Any], spec: InputSpec, *, classes: Sequence[str], complete: bool = True
) -> FaceDataset:
    """Open the data set `data.name` at the network's input size.

    A folder of that name in the working directory (as DVC pulls `train_data/`) is imported first if that has not
    happened, and again when its files have changed since.

    Args:
        data: the config's `data` group: `name`, `root`, `drop_twins`, `progress`.
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
        complete=complete,
    )


def import_folder(name: str, root: Path, spec: InputSpec, classes: Sequence[str]) -> None:
    """Import the folder `name` of the working directory, unless there is none or it has been imported as it is."""
    folder = Path(name)
    if not folder.is_dir() or not _needs_import(folder, root / name / IMPORT_FILE, classes):
        return
    log.info("Importing %s/ as data set '%s'", folder, name)
    import_dataset(
        folder,
        name,
        root=root,
        classes=classes,
        size=spec.size,
        channels=spec.channels,
        resize_filter=spec.resize_filter,
    )


def _needs_import(folder: Path, record: Path, classes: Sequence[str]) -> bool:
    """Whether the folder was never imported, or has changed since."""
    if not record.is_file():
        return True
    source = json.loads(record.read_text(encoding="utf-8"))["source"]
    if Path(source["location"]) != folder.resolve():
        # Imported from elsewhere under this name: that is what the user wants to train on.
        return False
    fingerprint: str = open_source(folder, own_classes(classes)).scan().fingerprint
    return bool(fingerprint != source["fingerprint"])


def input_spec(data: Mapping[str, Any]) -> InputSpec:
    """The network's input as the `data` group describes it; one mean or std serves all channels.

    Raises:
        ConfigError: for a value that no input can have, such as `data.channels=2`.
    """
    channels = data["channels"]
    mean, std = (list(data[name]) * (channels if len(data[name]) == 1 else 1) for name in ("mean", "std"))
    try:
        return InputSpec(size=data["size"], channels=channels, resize_filter=data["resize_filter"], mean=mean, std=std)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["data", *map(str, first["loc"])])
        raise ConfigError(f"{key}={first['input']} is not possible.", f"{first['msg']}.") from error
