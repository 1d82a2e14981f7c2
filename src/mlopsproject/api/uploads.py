"""Pictures that come as multipart forms (RFC 7578), kept in memory within the size that the middleware allows.

Starlette's parser reads them. FastAPI's own `File()` would write large ones to a disk, which a container may lack, and
does not take a picture without a file name, as some clients send it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mlopsproject.api.problems import ProblemError, invalid
from mlopsproject.core.face_inputs import FaceOptions
from mlopsproject.core.problems import describe
from mlopsproject.core.schemas import FaceMode

#: Most faces that a caller may name in one picture.
_MAX_BOXES: Final = 64
#: Longest text of one field: the boxes of many faces.
_MAX_TEXT: Final = 64 * 1024
#: Text fields beside the files.
_MAX_FIELDS: Final = 8
#: Longest file name that is repeated in an answer.
_MAX_NAME: Final = 255
#: A file name with its encoding, as urllib3 wrote those that are not ASCII until 2023.
_EXTENDED_NAME: Final = re.compile(rb";\s*filename\*=([\w-]*)'[\w-]*'([^;\s]*)", re.IGNORECASE)
#: What a file may call itself; what it is, is seen when it is decoded.
_ACCEPTED: Final = ("image/", "application/octet-stream", "binary/octet-stream")
_Corner = Annotated[int, Field(ge=0, strict=True)]
_Side = Annotated[int, Field(ge=1, strict=True)]
_GivenBox = tuple[_Corner, _Corner, _Side, _Side]
BOXES: Final = TypeAdapter(Annotated[list[_GivenBox], Field(min_length=1, max_length=_MAX_BOXES)])
MODES: Final = TypeAdapter(FaceMode)
_DEFAULT: Final = FaceOptions()
_SEND: Final = "send a file, as in: curl -F data=@face.jpg"


@dataclass(slots=True)
class Upload:
    """One file of a form.

    Attributes:
        name: of the file, as the caller gave it: repeat it to them and use it for nothing else.
        content_type: as the caller gave it, lower case, without parameters; empty if there was none.
        content: the file's bytes.
    """

    name: str
    content_type: str
    content: bytes

    def check_type(self) -> None:
        """Refuse a file that says of itself that it is no picture.

        Raises:
            ProblemError: if so.
        """
        if self.content_type and not self.content_type.startswith(_ACCEPTED):
            raise ProblemError(415, "wrong_type", f"The file is of type {self.content_type[:64]}; send a picture.")


class _Parser(MultiPartParser):
    """Starlette's, but for what a part is: a picture is a file also without a name, or with one as in RFC 5987."""

    # Nothing goes to a temporary file: containers may have no disk to write to.
    spool_max_size = 0

    def on_headers_finished(self) -> None:
        """Begin a part."""
        part = self._current_part
        disposition = part.content_disposition or b""
        if extended := _EXTENDED_NAME.search(disposition):
            charset = "latin-1" if extended[1].lower() == b"iso-8859-1" else "utf-8"
            name = unquote_to_bytes(extended[2]).decode(charset, "replace")
            disposition = disposition.replace(extended[0], b'; filename="%b"' % name.replace('"', "%22").encode())
        elif b"filename=" not in disposition.lower() and _says_image(part.item_headers):
            disposition += b'; filename=""'
        part.content_disposition = disposition
        super().on_headers_finished()


def _says_image(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.lstrip().lower().startswith(b"image/") for name, value in headers)


async def read_pictures(request: Request, max_files: int) -> tuple[list[Upload], FaceOptions]:
    """Read a multipart form with the field `data`, a picture or several, and perhaps `face` and `boxes`.

    Returns:
        The pictures, at least one, and which of their faces are asked for.

    Raises:
        ProblemError: for another content type, or a form that is malformed, holds too much, no pictures, or other
            fields or impossible ones.
        ClientDisconnect: if the caller went away.
    """
    uploads: list[Upload] = []
    fields: dict[str, str] = {}
    for name, value in (await _parse(request, max_files)).multi_items():
        if name == "data" and isinstance(value, UploadFile):
            shown, kind = (value.filename or "")[:_MAX_NAME], _type(value.content_type)
            uploads.append(Upload(shown, kind, await value.read()))
        elif name == "data":
            raise invalid(f"The field data holds text; {_SEND}", "missing_field")
        elif isinstance(value, UploadFile) or name not in ("face", "boxes"):
            raise invalid(f"The field {name[:64]!r} is unknown; there are data, face and boxes.", "unknown_field")
        elif name in fields:
            raise invalid(f"The field {name} is given twice.")
        else:
            fields[name] = value
    if not uploads:
        raise invalid(f"The field data is missing; {_SEND}", "missing_field")
    if len(uploads) > max_files:
        raise invalid(f"More than {max_files} file{'s' * (max_files != 1)}.", "too_many_files")
    return uploads, _options(fields.get("face"), fields.get("boxes"))


async def _parse(request: Request, max_files: int) -> FormData:
    if _type(request.headers.get("content-type")) != "multipart/form-data":
        raise ProblemError(415, "wrong_type", "Send the picture as multipart/form-data, as in: curl -F data=@face.jpg")
    # One file more than is taken, so that it is not the form that is called malformed.
    limits = {"max_files": max_files + 1, "max_fields": _MAX_FIELDS, "max_part_size": _MAX_TEXT}
    try:
        return await _Parser(request.headers, request.stream(), **limits).parse()
    except MultiPartException as error:
        raise ProblemError(400, "malformed", f"The form is malformed: {error.message}") from None


def _type(header: str | None) -> str:
    return (header or "").partition(";")[0].strip().lower()


def _options(mode: str | None, boxes: str | None) -> FaceOptions:
    """Which faces are asked for by the fields `face` and `boxes`, JSON such as `[[x, y, width, height]]`."""
    if mode is None and boxes is None:
        return _DEFAULT
    try:
        kind = "auto" if mode is None else MODES.validate_python(mode)
    except ValidationError:
        raise invalid("face: give auto, all or none.", "invalid_face") from None
    try:
        given = [] if boxes is None else BOXES.validate_json(boxes)
    except ValidationError as error:
        reason = describe(error.errors(include_url=False, include_input=False))
        raise invalid(f"boxes: give a JSON list of [x, y, width, height] ({reason})", "invalid_boxes") from None
    return FaceOptions(kind, tuple(given))
