"""From a decoded picture to the network's inputs: all of it, or the faces found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.faces import FaceFinder, crop, scale_box, square
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
        parts: the squares around them that were cut out, likewise.
        search: how they were found.
        size: width and height of the picture as found, upright, in pixels.
    """

    inputs: NDArray[np.uint8]
    boxes: tuple[Box | None, ...]
    parts: tuple[Box | None, ...]
    search: FaceSearch
    size: tuple[int, int]

    @property
    def largest(self) -> int:
        """Position of the largest face."""
        areas = [0 if box is None else box[2] * box[3] for box in self.boxes]
        return areas.index(max(areas))


def face_inputs(image: Image.Image, wanted: FacesWanted, spec: InputSpec, finder: FaceFinder | None) -> FaceInputs:
    """Cut the wanted faces out of a picture; if there is none, the whole picture stands in.

    Args:
        image: from `preprocess.decode_image`.
        wanted: `none` takes the whole picture for a face, `largest` and `all` search.
        spec: the network's input.
        finder: searches; not needed for `none`.
    """
    if wanted == "none":
        return cut(image, (), "skipped", spec)
    found = finder.find(image) if finder is not None else []
    if wanted == "largest":
        found = found[:1]
    return cut(image, found, "found" if found else "not_found", spec)


def cut(image: Image.Image, inside: Sequence[Box], search: FaceSearch, spec: InputSpec) -> FaceInputs:
    """Cut faces out of a picture.

    Args:
        image: from `preprocess.decode_image`, which may have decoded it at a smaller size.
        inside: the faces, in pixels of `image`; none of them takes the whole picture.
        search: how they were found.
        spec: the network's input.
    """
    size: tuple[int, int] = image.info["original_size"]
    if spec.channels == 1 and image.mode != "L":
        # Before cutting: the copy that a crop is has a fourth of the bytes.
        image = image.convert("L")
    # One after the other: each may be as large as the picture.
    pixels = [
        to_input(crop(image, box) if box else image, spec.size, spec.channels, spec.resize_filter)
        for box in inside or (None,)
    ]
    if not inside:
        return FaceInputs(np.stack(pixels), (None,), (None,), search, size)
    boxes = tuple(scale_box(box, image.size, size) for box in inside)
    parts = tuple(scale_box(square(image.size, box), image.size, size) for box in inside)
    return FaceInputs(np.stack(pixels), boxes, parts, search, size)
