"""Network inputs of a picture: the whole picture, or each of its faces cropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.cheap_pictures import is_cheap
from mlopsproject.core.errors import ImageError
from mlopsproject.core.faces import FaceFinder, crop, face_finder, scale_box, square
from mlopsproject.core.preprocess import MIN_JPEG_SIDE, WEB_FORMATS, decode_image, to_input
from mlopsproject.core.schemas import Box, FaceMode, FaceSearch
from mlopsproject.core.spec import InputSpec

#: Up to this many pixels on the shorter side, mode `auto` takes the picture for a cropped face and detects none.
FACE_SIDE: Final = 96
FacesWanted = Literal["none", "largest", "all"]
FACES_WANTED: Final[tuple[FacesWanted, ...]] = ("none", "largest", "all")


@dataclass(frozen=True, slots=True)
class FaceInputs:
    """The network inputs of one picture.

    Attributes:
        inputs: uint8 `[F, C, S, S]`, one per face, F at least 1.
        boxes: box of each face, in pixels of the upright original; ``None`` for the whole picture.
        parts: the square around each box that was cropped, in the same pixels.
        search: how the faces were found.
        size: width and height of the upright original, in pixels.
    """

    inputs: NDArray[np.uint8]
    boxes: tuple[Box | None, ...]
    parts: tuple[Box | None, ...]
    search: FaceSearch
    size: tuple[int, int]

    @property
    def largest(self) -> int:
        """Index of the face with the largest box."""
        areas = [0 if box is None else box[2] * box[3] for box in self.boxes]
        return areas.index(max(areas))


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """Which faces of a picture a caller of the API wants.

    Attributes:
        mode: `auto`, `all` or `none`; ignored if there are boxes.
        boxes: of faces that the caller found, in pixels of the upright picture.
    """

    mode: FaceMode = "auto"
    boxes: tuple[Box, ...] = ()

    def need_search(self, image: Image.Image) -> bool:
        """Whether faces have to be detected in a decoded picture."""
        if self.boxes or self.mode == "none":
            return False
        return self.mode == "all" or min(image.info["original_size"]) > FACE_SIDE


def read_cheap(content: bytes, options: FaceOptions, spec: InputSpec) -> FaceInputs | None:
    """As `read_faces`, for a picture that is cheap to decode and in which no faces have to be searched.

    Returns:
        The inputs; `None` for any other picture.

    Raises:
        ImageError: if the picture cannot be used, or `invalid_boxes` if a box is not within it.
    """
    if not is_cheap(content):
        return None
    image = decode_image(content, min_jpeg_side=None, formats=WEB_FORMATS)
    return None if options.need_search(image) else cut_faces(image, options, spec, None)


def read_faces(content: bytes, options: FaceOptions, spec: InputSpec, face_model: Path | None = None) -> FaceInputs:
    """Decode a picture and crop the wanted faces.

    Args:
        content: of the file, in one of `preprocess.WEB_FORMATS`.
        options: which faces.
        spec: the network's input.
        face_model: see `FaceFinder`; loaded when the first picture needs it.

    Raises:
        ImageError: if the picture cannot be used, or `invalid_boxes` if a box is not within it.
    """
    image = decode_image(content, min_jpeg_side=max(MIN_JPEG_SIDE, spec.size), formats=WEB_FORMATS)
    return cut_faces(image, options, spec, face_finder(face_model).find if options.need_search(image) else None)


def cut_faces(
    image: Image.Image, options: FaceOptions, spec: InputSpec, find: Callable[[Image.Image], list[Box]] | None
) -> FaceInputs:
    """Crop the wanted faces of a decoded picture.

    Args:
        image: from `preprocess.decode_image`.
        options: which faces.
        spec: the network's input.
        find: detects faces; may be `None` if the options need no detection.

    Raises:
        ImageError: `invalid_boxes` if a given box is not within the picture.
    """
    if options.boxes:
        size: tuple[int, int] = image.info["original_size"]
        _check_boxes(options.boxes, size)
        faces = cut(image, [scale_box(box, size, image.size) for box in options.boxes], "given", spec)
        # The given boxes: scaling to the decoded size and back would round them.
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
    """Crop the wanted faces of a picture; if none is found, the whole picture is used.

    Args:
        image: from `preprocess.decode_image`.
        wanted: `none` takes the whole picture as one face, `largest` and `all` detect faces.
        spec: the network's input.
        finder: face detector; not needed for `none`.
    """
    if wanted == "none":
        return cut(image, (), "skipped", spec)
    found = finder.find(image) if finder is not None else []
    if wanted == "largest":
        found = found[:1]
    return cut(image, found, "found" if found else "not_found", spec)


def cut(image: Image.Image, inside: Sequence[Box], search: FaceSearch, spec: InputSpec) -> FaceInputs:
    """Crop faces of a picture and resize them to network inputs.

    Args:
        image: from `preprocess.decode_image`, which may have decoded it at a smaller size.
        inside: boxes of the faces, in pixels of `image`; if empty, the whole picture is used.
        search: how they were found.
        spec: the network's input.
    """
    size: tuple[int, int] = image.info["original_size"]
    if spec.channels == 1 and image.mode != "L":
        # Before cropping, which copies the pixels: gray takes a fourth of the memory.
        image = image.convert("L")
    # One crop at a time: each may be as large as the picture.
    pixels = [
        to_input(crop(image, box) if box else image, spec.size, spec.channels, spec.resize_filter)
        for box in inside or (None,)
    ]
    if not inside:
        return FaceInputs(np.stack(pixels), (None,), (None,), search, size)
    boxes = tuple(scale_box(box, image.size, size) for box in inside)
    parts = tuple(scale_box(square(image.size, box), image.size, size) for box in inside)
    return FaceInputs(np.stack(pixels), boxes, parts, search, size)
