"""Pictures as the page shows them: what a person gave, upright and small, and heat maps to lay over them."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from typing import Final

import httpx
import numpy as np
from PIL import Image

from mlopsproject.core.cheap_pictures import is_cheap
from mlopsproject.core.errors import ImageError
from mlopsproject.core.helpers import NARROW, Helpers
from mlopsproject.core.preprocess import WEB_FORMATS, decode_image

#: Longer side of a picture as shown, in pixels.
_SHOWN_SIDE: Final = 1280
#: Side of a heat map as shown, in pixels.
_HEAT_SIDE: Final = 256
#: Colours of what speaks for an answer and against it.
_FOR, _AGAINST = (224, 89, 20), (38, 110, 200)
#: Losses below this are faint, however small the others are.
_LEAST_SCALE: Final = 0.05


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
    try:
        shown, size = _shrink(content) if is_cheap(content) else _helpers().run(_shrink, content)
    except (ImageError, BrokenProcessPool):  # the API says what is wrong with it
        return Picture(key, content, "", None)
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


def heat_layer(losses: Sequence[Sequence[float]]) -> str:
    """Draw a heat map that lets the face shine through.

    Args:
        losses: of `/explain`: rows from the top, the probability that is lost when a cell is covered.

    Returns:
        A `data:` URL; warm where the answer rests, blue where the face speaks against it.

    Raises:
        ValueError: if the rows are empty or differ in length.
    """
    if not losses or not losses[0] or any(len(row) != len(losses[0]) for row in losses):
        raise ValueError("The service sent no heat map that can be drawn.")
    values = np.nan_to_num(np.array(losses, dtype=np.float64))
    strength = np.abs(values) / max(_LEAST_SCALE, float(np.abs(values).max()))
    colours = np.where(values[:, :, None] > 0, np.array(_FOR), np.array(_AGAINST))
    layer = np.dstack([colours, strength * 215]).round().astype(np.uint8)
    # Colours of faint cells must not bleed into strong ones: Pillow weighs them by their opacity in this mode.
    smooth = Image.fromarray(layer, "RGBA").convert("RGBa").resize((_HEAT_SIDE, _HEAT_SIDE), Image.Resampling.BICUBIC)
    return _data_url(smooth.convert("RGBA"))


@cache
def _helpers() -> Helpers:
    return Helpers(1, NARROW)


def _shrink(content: bytes) -> tuple[str, tuple[int, int]]:
    """The picture as a `data:` URL, upright and no larger than shown, and its size before."""
    image = decode_image(content, min_jpeg_side=_SHOWN_SIDE, formats=WEB_FORMATS)
    size: tuple[int, int] = image.info["original_size"]
    image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE), Image.Resampling.LANCZOS)
    return _data_url(image), size


def _data_url(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
