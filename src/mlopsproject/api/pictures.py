"""From the bytes of a picture to what the network sees of its faces. Everything here blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError

from mlopsproject.api.problems import describe, invalid
from mlopsproject.core.faces import crop, scale_box, square
from mlopsproject.core.preprocess import MAX_PIXELS, MIN_JPEG_SIDE, decode_image, to_input
from mlopsproject.core.schemas import Box, FaceMode, FaceSearch
from mlopsproject.core.spec import InputSpec

#: Most faces that a caller may name in one picture.
MAX_BOXES: Final = 64
#: Up to this many pixels on the shorter side, `auto` takes the picture for a face that was cut out already.
FACE_SIDE: Final = 96

FindFaces = Callable[[Image.Image], list[Box]]
_Corner = Annotated[int, Field(ge=0)]
_Side = Annotated[int, Field(ge=1)]
_GivenBox = tuple[_Corner, _Corner, _Side, _Side]
_boxes: Final = TypeAdapter(Annotated[list[_GivenBox], Field(min_length=1, max_length=MAX_BOXES)])
_modes: Final = TypeAdapter(FaceMode)


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """Which faces of a picture the caller wants.

    Attributes:
        mode: `auto`, `all` or `none`; of no effect with boxes.
        boxes: faces that the caller found.
    """

    mode: FaceMode = "auto"
    boxes: tuple[Box, ...] = ()

    @classmethod
    def parse(cls, mode: str | None, boxes: str | None) -> FaceOptions:
        """Read the fields of a form.

        Args:
            mode: the field `face`.
            boxes: the field `boxes`, a JSON list of `[x, y, width, height]`.

        Raises:
            ProblemError: if one of them is impossible.
        """
        if mode is None and boxes is None:
            return _DEFAULT
        try:
            kind = "auto" if mode is None else _modes.validate_python(mode)
        except ValidationError:
            raise invalid("face: give auto, all or none.", "invalid_face") from None
        try:
            given = [] if boxes is None else _boxes.validate_json(boxes)
        except ValidationError as error:
            reason = describe(error.errors(include_url=False, include_input=False))
            raise invalid(f"boxes: give a JSON list of [x, y, width, height] ({reason})", "invalid_boxes") from None
        return cls(kind, tuple(given))


_DEFAULT: Final = FaceOptions()


@dataclass(frozen=True, slots=True)
class CutFaces:
    """The faces of one picture, ready for the network.

    Attributes:
        inputs: uint8 `[F, C, S, S]`, F at least 1.
        boxes: where they are in the picture as sent; `None` stands for all of it.
        parts: the squares around them that were cut out, likewise.
        search: how they were found.
        size: width and height of the picture as sent, upright, in pixels.
    """

    inputs: NDArray[np.uint8]
    boxes: tuple[Box | None, ...]
    parts: tuple[Box | None, ...]
    search: FaceSearch
    size: tuple[int, int]

    @property
    def largest(self) -> int:
        """Position of the largest face."""
        return max(range(len(self.boxes)), key=lambda index: _area(self.boxes[index]))


def decode(content: bytes, spec: InputSpec, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture as `core.preprocess.load_input` does.

    Raises:
        ImageError: if it cannot be used, or has more than `max_pixels`.
    """
    return decode_image(content, max_pixels=max_pixels, min_jpeg_side=max(MIN_JPEG_SIDE, spec.size))


def needs_search(image: Image.Image, options: FaceOptions) -> bool:
    """Whether faces are to be searched for in a picture."""
    if options.boxes or options.mode == "none":
        return False
    return options.mode == "all" or min(image.info["original_size"]) > FACE_SIDE


def cut_faces(image: Image.Image, options: FaceOptions, spec: InputSpec, find: FindFaces | None) -> CutFaces:
    """Cut the wanted faces out of a decoded picture.

    Args:
        image: from `decode`.
        options: which faces.
        spec: the network's input.
        find: searches for faces; may be `None` if `needs_search` said no.

    Raises:
        ProblemError: for a given box that leaves the picture.
    """
    size: tuple[int, int] = image.info["original_size"]
    if options.boxes:
        _check_boxes(options.boxes, size)
        inside = [scale_box(box, size, image.size) for box in options.boxes]
        return _cut(image, inside, options.boxes, "given", spec)
    if find is None or not needs_search(image, options):
        return _whole(image, "skipped", spec)
    found = find(image)
    if not found:
        return _whole(image, "not_found", spec)
    wanted = found if options.mode == "all" else found[:1]
    return _cut(image, wanted, tuple(scale_box(box, image.size, size) for box in wanted), "found", spec)


def _whole(image: Image.Image, search: FaceSearch, spec: InputSpec) -> CutFaces:
    pixels = to_input(image, spec.size, spec.channels, spec.resize_filter)
    return CutFaces(pixels[None], (None,), (None,), search, image.info["original_size"])


def _cut(
    image: Image.Image, inside: Sequence[Box], boxes: tuple[Box, ...], search: FaceSearch, spec: InputSpec
) -> CutFaces:
    """Cut faces out of a picture that may have been decoded at a smaller size: `inside` is in its own pixels."""
    size: tuple[int, int] = image.info["original_size"]
    pixels = [to_input(crop(image, box), spec.size, spec.channels, spec.resize_filter) for box in inside]
    parts = tuple(scale_box(square(image.size, box), image.size, size) for box in inside)
    return CutFaces(np.stack(pixels), boxes, parts, search, size)


def _check_boxes(boxes: tuple[Box, ...], size: tuple[int, int]) -> None:
    for box in boxes:
        x, y, width, height = box
        if x + width > size[0] or y + height > size[1]:
            raise invalid(
                f"boxes: {list(box)} is not within the picture of {size[0]} x {size[1]} pixels.", "invalid_boxes"
            )


def _area(box: Box | None) -> int:
    return 0 if box is None else box[2] * box[3]
