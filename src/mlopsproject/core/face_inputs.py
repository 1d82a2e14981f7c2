"""From a picture to the network's inputs: all of it, or the faces found in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.errors import ImageError
from mlopsproject.core.faces import FaceFinder, crop, face_finder, scale_box, square
from mlopsproject.core.preprocess import MIN_JPEG_SIDE, WEB_FORMATS, decode_image, to_input
from mlopsproject.core.schemas import Box, FaceMode, FaceSearch
from mlopsproject.core.spec import InputSpec

#: Up to this many pixels on the shorter side, `auto` takes the picture for a face that was cut out already.
FACE_SIDE: Final = 96
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


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """Which faces of a picture a caller of the API wants.

    Attributes:
        mode: `auto`, `all` or `none`; of no effect with boxes.
        boxes: faces that the caller found, in pixels of the upright picture.
    """

    mode: FaceMode = "auto"
    boxes: tuple[Box, ...] = ()

    def need_search(self, image: Image.Image) -> bool:
        """Whether faces are to be searched for in a decoded picture."""
        if self.boxes or self.mode == "none":
            return False
        return self.mode == "all" or min(image.info["original_size"]) > FACE_SIDE


def read_faces(content: bytes, options: FaceOptions, spec: InputSpec, face_model: Path | None = None) -> FaceInputs:
    """Decode a picture and cut the wanted faces out.

    Args:
        content: of the file, in one of `preprocess.WEB_FORMATS`.
        options: which faces.
        spec: the network's input.
        face_model: see `FaceFinder`; loaded when the first picture needs it.

    Raises:
        ImageError: if the picture cannot be used, or `invalid_boxes` if a box leaves it.
    """
    image = decode_image(content, min_jpeg_side=max(MIN_JPEG_SIDE, spec.size), formats=WEB_FORMATS)
    return cut_faces(image, options, spec, face_finder(face_model).find if options.need_search(image) else None)


def cut_faces(
    image: Image.Image, options: FaceOptions, spec: InputSpec, find: Callable[[Image.Image], list[Box]] | None
) -> FaceInputs:
    """Cut the wanted faces out of a decoded picture.

    Args:
        image: from `preprocess.decode_image`.
        options: which faces.
        spec: the network's input.
        find: searches for faces; may be `None` where the options need no search.

    Raises:
        ImageError: `invalid_boxes` for a given box that leaves the picture.
    """
    if options.boxes:
        size: tuple[int, int] = image.info["original_size"]
        _check_boxes(options.boxes, size)
        faces = cut(image, [scale_box(box, size, image.size) for box in options.boxes], "given", spec)
        # As they were given: at a smaller size they lose their last digits.
        return replace(faces, boxes=options.boxes)
    if find is None:
        return cut(image, (), "skipped", spec)
    found = find(image)
    return cut(image, found if options.mode == "all" else found[:1], "found" if found else "not_found", spec)


def _check_boxes(boxes: tuple[Box, ...], size: tuple[int, int]) -> None:
    for x, y, width, height in boxes:
        if x + width > size[0] or y + height > size[1]:
            raise ImageError(
                "invalid_boxes",
                f"boxes: {[x, y, width, height]} is not within the picture of {size[0]} x {size[1]} pixels.",
            )


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
