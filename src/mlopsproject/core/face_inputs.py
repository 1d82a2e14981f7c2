"""From a decoded picture to the network's inputs: all of it, or the faces found in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.faces import FaceFinder, crop, scale_box
from mlopsproject.core.preprocess import to_input
from mlopsproject.core.schemas import Box, FaceSearch
from mlopsproject.core.spec import InputSpec

FacesWanted = Literal["none", "largest", "all"]
FACES_WANTED: Final[tuple[FacesWanted, ...]] = ("none", "largest", "all")


@dataclass(frozen=True, slots=True)
class FaceInputs:
    """What of a picture goes to the network.

    Attributes:
        inputs: uint8 `[F, C, S, S]`, F at least 1.
        boxes: where each is, in pixels of the picture as found; ``None`` stands for all of it.
        search: `found`, `not_found` (the whole picture stands in) or `skipped`.
    """

    inputs: NDArray[np.uint8]
    boxes: tuple[Box | None, ...]
    search: FaceSearch


def face_inputs(image: Image.Image, wanted: FacesWanted, spec: InputSpec, finder: FaceFinder | None) -> FaceInputs:
    """Cut the wanted faces out of a picture.

    Args:
        image: from `preprocess.decode_image`.
        wanted: `none` takes the whole picture for a face, `largest` and `all` search.
        spec: the network's input.
        finder: searches; not needed for `none`.
    """
    found = finder.find(image) if finder is not None and wanted != "none" else []
    if wanted == "largest":
        found = found[:1]
    parts = [crop(image, box) for box in found] or [image]
    inputs = np.stack([to_input(part, spec.size, spec.channels, spec.resize_filter) for part in parts])
    if not found:
        return FaceInputs(inputs, (None,), "skipped" if wanted == "none" else "not_found")
    size: tuple[int, int] = image.info["original_size"]
    return FaceInputs(inputs, tuple(scale_box(box, image.size, size) for box in found), "found")
