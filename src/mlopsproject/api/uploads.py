"""Pictures that come as multipart forms (RFC 7578), taken apart in memory.

A form arrives whole, within the size that the middleware allows, and is then cut at its boundaries. Starlette's
`UploadFile`, which puts every file into a temporary file first, costs as much as decoding two faces, and
python-multipart's parser, made for streams, half a face.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from mlopsproject.api.problems import ProblemError, invalid

#: Longest text of one field: the boxes of many faces.
_MAX_TEXT: Final = 64 * 1024
#: Longest headers of one part.
_MAX_HEADERS: Final = 8 * 1024
#: Text fields beside the files.
_MAX_FIELDS: Final = 8
#: Longest file name that is repeated in an answer.
_MAX_NAME: Final = 255

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70})(?=[;,\s]|$))', re.IGNORECASE)
_PARAMETER: Final = re.compile(rb';\s*([\w-]+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^";\s]*))', re.DOTALL)
_ESCAPED: Final = re.compile(rb'\\(["\\])')


@dataclass(slots=True)
class Upload:
    """One file of a form.

    Attributes:
        field: name of the form's field.
        name: of the file, as the caller gave it: repeat it to them and use it for nothing else.
        content_type: as the caller gave it, lower case, without parameters; empty if there was none.
        content: the file's bytes.
    """

    field: str
    name: str
    content_type: str
    content: bytes


@dataclass(slots=True)
class Form:
    """A form that has arrived whole."""

    files: list[Upload] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(content_type: str, receive: Receive, max_files: int) -> Form:
    """Read a multipart form.

    Args:
        content_type: of the request.
        receive: gives the request's body, and guards its size.
        max_files: most files that are taken.

    Raises:
        ProblemError: for another content type, or a form that is malformed or holds too much.
        ClientDisconnect: if the caller went away.
    """
    kind, _, _ = content_type.partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise ProblemError(415, "wrong_type", "Send the picture as multipart/form-data, as in: curl -F data=@face.jpg")
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise _malformed("its content type names no boundary")
    chunks = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parse_form(b"".join(chunks), (boundary[1] or boundary[2]).encode("latin-1"), max_files)


def parse_form(body: bytes, boundary: bytes, max_files: int) -> Form:
    """Take a multipart form apart.

    Args:
        body: of the request.
        boundary: as the content type names it.
        max_files: most files that are taken.

    Raises:
        ProblemError: for a form that is malformed or holds too much.
    """
    most = max_files + _MAX_FIELDS
    # The first boundary has no line before it. What is before it, and after the last one, belongs to nobody.
    sections = (b"\r\n" + body).split(b"\r\n--" + boundary, most + 2)
    form = Form()
    for section in sections[1:]:
        if section.startswith(b"--"):
            return form
        _add_part(form, section, max_files)
    raise _malformed("it ends before its last boundary")


def _add_part(form: Form, section: bytes, max_files: int) -> None:
    head, end, content = section.partition(b"\r\n\r\n")
    if not end or len(head) > _MAX_HEADERS:
        raise _malformed("the headers of a part do not end")
    disposition, content_type = _headers(head)
    kind, _, _ = disposition.partition(b";")
    options = {match[1].lower(): _value(match) for match in _PARAMETER.finditer(disposition)}
    name = options.get(b"name")
    if kind.strip().lower() != b"form-data" or name is None:
        raise _malformed("a part of it has no name")
    file_name = _file_name(options)
    # A picture is a picture, also without the name of a file.
    if file_name is not None or content_type.startswith("image/"):
        if len(form.files) >= max_files:
            raise invalid(f"More than {max_files} file{'s' * (max_files != 1)}.", "too_many_files")
        shown = (file_name or "")[:_MAX_NAME]
        form.files.append(Upload(name.decode("utf-8", "replace"), shown, content_type, content))
    else:
        _add_field(form, name.decode("utf-8", "replace"), content)


def _add_field(form: Form, name: str, content: bytes) -> None:
    if len(form.fields) >= _MAX_FIELDS:
        raise invalid(f"More than {_MAX_FIELDS} fields.", "too_many_fields")
    if len(content) > _MAX_TEXT:
        raise invalid(f"The field {name[:64]} is longer than {_MAX_TEXT} bytes.")
    if name in form.fields:
        raise invalid(f"The field {name[:64]} is given twice.")
    form.fields[name] = content.decode("utf-8", "replace")


def _headers(head: bytes) -> tuple[bytes, str]:
    """The disposition of a part, and its content type without parameters."""
    disposition, content_type = b"", ""
    # The boundary's own line is empty but for blanks.
    rest, *lines = head.split(b"\r\n")
    if rest.strip(b" \t"):
        raise _malformed("something follows a boundary")
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise _malformed("a part of it has a header without a colon")
        match name.lower():
            case b"content-disposition":
                disposition = value
            case b"content-type":
                content_type = value.partition(b";")[0].strip().lower().decode("latin-1")
    return disposition, content_type


def _file_name(options: dict[bytes, bytes]) -> str | None:
    """The name of a part's file; `filename*` (RFC 5987) says it with its encoding and goes before."""
    extended = options.get(b"filename*")
    if extended is None:
        plain = options.get(b"filename")
        return None if plain is None else plain.decode("utf-8", "replace")
    encoding, _, rest = extended.partition(b"'")
    escaped = rest.partition(b"'")[2]
    return unquote_to_bytes(escaped).decode("latin-1" if encoding.lower() == b"iso-8859-1" else "utf-8", "replace")


def _value(match: re.Match[bytes]) -> bytes:
    quoted = match[2]
    return match[3] if quoted is None else _ESCAPED.sub(rb"\1", quoted)


def _malformed(reason: str) -> ProblemError:
    return ProblemError(400, "malformed", f"The form is malformed: {reason}.")
