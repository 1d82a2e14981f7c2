"""Which faces of a picture a form asks for."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from mlopsproject.api.problems import describe, invalid
from mlopsproject.core.face_inputs import FaceOptions
from mlopsproject.core.schemas import FaceMode

#: Most faces that a caller may name in one picture.
MAX_BOXES: Final = 64

_Corner = Annotated[int, Field(ge=0, strict=True)]
_Side = Annotated[int, Field(ge=1, strict=True)]
_GivenBox = tuple[_Corner, _Corner, _Side, _Side]
_boxes: Final = TypeAdapter(Annotated[list[_GivenBox], Field(min_length=1, max_length=MAX_BOXES)])
_modes: Final = TypeAdapter(FaceMode)
_DEFAULT: Final = FaceOptions()


def parse_options(mode: str | None, boxes: str | None) -> FaceOptions:
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
    return FaceOptions(kind, tuple(given))
