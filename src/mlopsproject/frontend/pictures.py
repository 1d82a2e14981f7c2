"""Pictures as the page shows them: what a person gave, upright and small."""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache

import httpx
from PIL import Image

from mlopsproject.core.cheap_pictures import is_cheap
from mlopsproject.core.errors import ImageError
from mlopsproject.core.helpers import NARROW, Helpers
from mlopsproject.core.preprocess import WEB_FORMATS, decode_image

#: Longer side, in pixels, and quality of a picture as shown, and in a table.
_SHOWN_SIDE, _SHOWN_QUALITY = 1280, 88
_THUMBNAIL_SIDE, _THUMBNAIL_QUALITY = 96, 70


@dataclass(frozen=True)
class Picture:
    """What a person gave.

    Attributes:
        key: equal for equal pictures.
        content: the file's bytes; `None` if the API is to fetch the picture.
        source: what a browser can show: a web address or a `data:` URL; empty if there is nothing to show.
        size: width and height in pixels, upright; `None` if that is not known here.
    """

    key: str
    content: bytes | None
    source: str
    size: tuple[int, int] | None


def from_content(content: bytes) -> Picture:
    """A picture whose bytes are here, whatever they hold.

    Args:
        content: of the file, or of the camera's shot.
    """
    key = hashlib.sha256(content).hexdigest()
    shown, size = _shown(content, _SHOWN_SIDE, _SHOWN_QUALITY)
    return Picture(key, content, shown, size)


def from_address(address: str) -> Picture:
    """A picture of the web, which the API and the browser fetch by themselves.

    Args:
        address: as a person typed it.

    Raises:
        ValueError: if it is no http(s) address, with words for that person.
    """
    try:
        url = httpx.URL(address.strip())
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("Give the address of a picture, starting with https:// or http://.")
    return Picture(hashlib.sha256(str(url).encode()).hexdigest(), None, str(url), None)


def thumbnail(content: bytes) -> str:
    """A picture for a row of a table.

    Args:
        content: of the file.

    Returns:
        A `data:` URL of some kilobytes at most; empty if the file cannot be shown.
    """
    return _shown(content, _THUMBNAIL_SIDE, _THUMBNAIL_QUALITY)[0]


def data_url(image: Image.Image, quality: int = 88) -> str:
    """A picture as WebP in a `data:` URL.

    Args:
        image: to write.
        quality: of WebP, 0-100.
    """
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


@cache
def _helpers() -> Helpers:
    return Helpers(1, NARROW)


def _shown(content: bytes, side: int, quality: int) -> tuple[str, tuple[int, int] | None]:
    """As `_shrink`, of whatever the file holds: empty, and no size, if that is no picture."""
    try:
        if is_cheap(content):
            return _shrink(content, side, quality)
        return _helpers().run(_shrink, content, side, quality)
    except (ImageError, BrokenProcessPool):  # the API says what is wrong with it
        return "", None


def _shrink(content: bytes, side: int, quality: int) -> tuple[str, tuple[int, int]]:
    """The picture as a `data:` URL, upright and no longer than `side` pixels, and its size before."""
    image = decode_image(content, min_jpeg_side=side, formats=WEB_FORMATS)
    size: tuple[int, int] = image.info["original_size"]
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_url(image, quality), size
