"""Whether a JPEG or PNG file is cheap to decode, determined from its structure without decoding anything.

Image libraries cannot tell: to read a header they also decompress its metadata (colour profiles, texts, EXIF), which
a hostile file can make expensive.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

#: Larger files and pictures are not cheap; decoding 512 x 512 pixels takes about 3 ms.
MAX_BYTES: Final = 64 * 1024
_MAX_PIXELS: Final = 512 * 512

_PNG: Final = b"\x89PNG\r\n\x1a\n"
#: PNG chunks in which nothing is compressed but the pixels.
_PLAIN_CHUNKS: Final = {b"PLTE", b"IDAT", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"tIME"}
#: Length, type, width and height of the first chunk (IHDR).
_PNG_HEADER: Final = struct.Struct(">I4sII")

_JPEG: Final = b"\xff\xd8\xff"
#: JPEG markers by their second byte: start of frame (baseline, extended, progressive), start of scan, and segments
#: that are not compressed (tables, restart interval, JFIF, Adobe, comment).
_FRAMES: Final = {0xC0, 0xC1, 0xC2}
_SCAN: Final = 0xDA
_PLAIN_SEGMENTS: Final = {0xC4, 0xDB, 0xDD, 0xE0, 0xEE, 0xFE}
_FRAME: Final = struct.Struct(">HH")


def is_cheap(content: bytes) -> bool:
    """Whether a file is a JPEG or PNG of at most 64 KiB and 512 x 512 pixels without compressed metadata.

    Args:
        content: of the file.
    """
    if len(content) > MAX_BYTES:
        return False
    if content.startswith(_JPEG):
        return _is_cheap_jpeg(content)
    return content.startswith(_PNG) and _is_cheap_png(content)


def cheap_content(source: bytes | str | Path) -> bytes | None:
    """Read a picture if it is cheap to decode, see `is_cheap`.

    Args:
        source: the file's content, or its path.

    Returns:
        The file's content; `None` for any other picture, and for a file that cannot be read.
    """
    if not isinstance(source, bytes):
        try:
            path = Path(source)
            content = path.read_bytes() if path.stat().st_size <= MAX_BYTES and path.is_file() else b""
        except (OSError, ValueError):
            return None
    else:
        content = source
    return content if is_cheap(content) else None


def _is_cheap_jpeg(content: bytes) -> bool:
    """Check the segments (ITU-T T.81, B.1) up to the first scan; each scan counts all pixels once."""
    place, pixels = 2, 0
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4])
        if marker == _SCAN:
            return 0 < pixels * content.count(b"\xff\xda") <= _MAX_PIXELS
        if marker in _FRAMES and place + 9 <= len(content):
            height, width = _FRAME.unpack_from(content, place + 5)
            pixels = max(pixels, height * width)
        elif marker not in _PLAIN_SEGMENTS:
            return False
        place += 2 + length
    return False


def _is_cheap_png(content: bytes) -> bool:
    """Check all chunks (PNG specification, 5.3); the first one, IHDR, holds the size."""
    if len(content) < len(_PNG) + _PNG_HEADER.size:
        return False
    place = len(_PNG)
    length, kind, width, height = _PNG_HEADER.unpack_from(content, place)
    if kind != b"IHDR" or not 0 < width * height <= _MAX_PIXELS:
        return False
    place += 12 + length
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        if kind == b"IEND":
            return True
        if kind not in _PLAIN_CHUNKS:
            return False
        place += 12 + length
    # A truncated file: decoding the existing part costs no more.
    return True
