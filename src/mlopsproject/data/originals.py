"""The files a data set was imported from, read again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mlopsproject.core.errors import DataError
from mlopsproject.core.preprocess import ImageSource
from mlopsproject.data.fer_csv import parse_pixels
from mlopsproject.data.items import Item
from mlopsproject.data.labelling import recorded_labels
from mlopsproject.data.limits import Limits
from mlopsproject.data.sources import Source, open_source


def open_origin(info: Mapping[str, Any]) -> Source:
    """Open the source that a data set's `import.json` names.

    Raises:
        DataError: if it is gone.
    """
    location, options = Path(info["source"]["location"]), info["options"]
    source = location if location.exists() else info["source"]["given"]
    return open_source(source, recorded_labels(options), Limits.of(options))


def read_originals(info: Mapping[str, Any], paths: Collection[str]) -> dict[str, ImageSource]:
    """Read pictures as they were before the import, in any format a Predictor takes.

    Args:
        info: the data set's `import.json`.
        paths: of the pictures, as in the manifest.

    Returns:
        The file's path or bytes, or a CSV row's pixels (uint8 `[H, W]`), by manifest path.

    Raises:
        DataError: if the source or one of the pictures is gone.
    """
    wanted = set(paths)
    found: dict[str, ImageSource] = {}
    for item in open_origin(info).items():
        if item.path in wanted:
            found[item.path] = _picture(item)
            if len(found) == len(wanted):
                return found
    missing = min(wanted - set(found))
    raise DataError(
        f"{info['source']['location']} no longer holds {missing}.", f"Import it again under name={info['name']}."
    )


def _picture(item: Item) -> ImageSource:
    if item.kind == "pixels":
        return parse_pixels(str(item.payload))
    return item.payload
