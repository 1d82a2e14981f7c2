"""What clients send: drawn faces, photos and pictures that cannot be used, as multipart forms that are built once."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.classes import FIVE
from mlopsproject.data.synthetic import sample_face
from mlopsproject.load import HOST

_BOUNDARY: Final = "mlopsproject-load-7f3a9c1e5b2d"
CONTENT_TYPE: Final = f"multipart/form-data; boundary={_BOUNDARY}"
#: Bytes above the largest request that the API takes by default.
_HUGE: Final = 11_000_000
_BOMB_SIDE: Final = 30_000
_PHOTO: Final = (640, 480)
_PHOTO_FACE: Final = 160


@dataclass(frozen=True, slots=True)
class File:
    """A file as a client sends it.

    Attributes:
        content: its bytes.
        content_type: what the client says it is.
    """

    content: bytes
    content_type: str = "image/jpeg"


@dataclass(frozen=True, slots=True)
class BadPicture:
    """Something that is not answered with an expression.

    Attributes:
        name: what is wrong with it.
        form: the request's body.
        statuses: of the right answers.
    """

    name: str
    form: bytes
    statuses: tuple[int, ...]


def draw_faces(count: int, *, side: int = 64, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Different synthetic faces, gray uint8 `[side, side]`, of five expressions in turn."""
    return [sample_face(FIVE[index % len(FIVE)], index // len(FIVE), seed=seed, size=side) for index in range(count)]


def draw_photos(count: int, *, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Faces in a plain room, gray uint8 `[480, 640]`: large enough that the API searches them for faces."""
    rng = np.random.default_rng(seed)
    photos = []
    for face in draw_faces(count, side=_PHOTO_FACE, seed=seed):
        coarse = Image.fromarray(rng.integers(60, 200, (4, 4), dtype=np.uint8))
        room = coarse.resize(_PHOTO, Image.Resampling.BICUBIC)
        left, top = (int(rng.integers(0, side - _PHOTO_FACE + 1)) for side in _PHOTO)
        room.paste(Image.fromarray(face), (left, top))
        photos.append(np.asarray(room))
    return photos


def encode(pixels: NDArray[np.uint8], file_format: str = "JPEG") -> File:
    """Encode a picture.

    Args:
        pixels: uint8 `[H, W]`.
        file_format: `JPEG` or `PNG`.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format, quality=90)
    return File(stream.getvalue(), f"image/{file_format.lower()}")


def form(files: Sequence[File], field: str = "data") -> bytes:
    """The body of a request with files; its content type is `CONTENT_TYPE`."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{number}"\r\n'
        f"Content-Type: {file.content_type}\r\n\r\n".encode()
        + file.content
        + b"\r\n"
        for number, file in enumerate(files)
    ]
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def upload(body: bytes, path: str) -> bytes:
    """A whole HTTP/1.1 request that uploads a form to a server of this machine.

    Args:
        body: from `form`.
        path: of the address.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def bad_pictures() -> list[BadPicture]:
    """Files that people and broken clients send, each with the statuses that the API may answer."""
    face = encode(draw_faces(1)[0])
    return [
        BadPicture("truncated", form([File(face.content[: len(face.content) // 2])]), (400,)),
        BadPicture("not an image", form([File(b"this is no picture " * 40)]), (400, 415)),
        BadPicture("empty", form([File(b"")]), (400,)),
        BadPicture("wrong type", form([File(face.content, "text/html")]), (415,)),
        BadPicture("no picture", form([face], "picture"), (422,)),
        BadPicture("too many pixels", form([File(_bomb(), "image/png")]), (413,)),
        # A server that takes more than the default then finds no image in it.
        BadPicture("too large", form([File(bytes(_HUGE))]), (413, 400, 415)),
    ]


def _bomb() -> bytes:
    """A small PNG file of 900 million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", _BOMB_SIDE, _BOMB_SIDE, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(_BOMB_SIDE + 1) * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
