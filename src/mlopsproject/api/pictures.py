"""From the bytes of a picture to what the network sees of its faces. Everything here blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Final

from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError

from mlopsproject.api.problems import describe, invalid
from mlopsproject.core.face_inputs import FaceInputs, cut
from mlopsproject.core.faces import scale_box
from mlopsproject.core.picture_limits import MAX_PIXELS
from mlopsproject.core.preprocess import MIN_JPEG_SIDE, decode_image
from mlopsproject.core.schemas import Box, FaceMode
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


def cut_faces(image: Image.Image, options: FaceOptions, spec: InputSpec, find: FindFaces | None) -> FaceInputs:
    """Cut the wanted faces out of a decoded picture.

    Args:
        image: from `decode`.
        options: which faces.
        spec: the network's input.
        find: searches for faces; may be `None` if `needs_search` said no.

    Raises:
        ProblemError: for a given box that leaves the picture.
    """
    if options.boxes:
        size: tuple[int, int] = image.info["original_size"]
        _check_boxes(options.boxes, size)
        faces = cut(image, [scale_box(box, size, image.size) for box in options.boxes], "given", spec)
        # As they were given: at a smaller size they lose their last digits.
        return replace(faces, boxes=options.boxes)
    if find is None or not needs_search(image, options):
        return cut(image, (), "skipped", spec)
    found = find(image)
    return cut(image, found if options.mode == "all" else found[:1], "found" if found else "not_found", spec)


def _check_boxes(boxes: tuple[Box, ...], size: tuple[int, int]) -> None:
    for box in boxes:
        x, y, width, height = box
        if x + width > size[0] or y + height > size[1]:
            raise invalid(
                f"boxes: {list(box)} is not within the picture of {size[0]} x {size[1]} pixels.", "invalid_boxes"
            )
