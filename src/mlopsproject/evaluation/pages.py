"""Shared parts of the HTML pages: template environment, number formats and embedded pictures."""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from numpy.typing import NDArray

from mlopsproject.evaluation.style import PALETTE

#: Text in place of a value that could not be measured.
UNKNOWN = "n/a"
#: Largest side of embedded pictures in pixels, to keep pages small.
_THUMBNAIL = 96


@cache
def environment() -> Environment:
    """The Jinja environment of the templates: HTML is escaped, an undefined name in a template is an error."""
    env = Environment(
        loader=PackageLoader("mlopsproject.evaluation", "templates"),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {"pct": percent, "span": interval, "num": number, "decimal": decimal}
    env.globals["palette"] = PALETTE
    return env


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share (0-1) as per cent."""
    return UNKNOWN if value is None else f"{value:.{digits}%}"


def interval(bounds: list[float] | None, digits: int = 1) -> str:
    """Format `[low, high]` shares (0-1) as a range of per cent; empty when unknown."""
    return "" if not bounds else f"{100 * bounds[0]:.{digits}f}\u2013{bounds[1]:.{digits}%}"


def decimal(value: float | None, digits: int = 3) -> str:
    """Format a number with fixed decimals."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def number(value: float | None) -> str:
    """Format a count with thousands separators."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def file_uri(path: Path) -> str:
    """Return a PNG file as a `data:` URI."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def picture_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as a `data:` URI, as JPEG and downscaled.

    Args:
        pixels: uint8 ``[C, H, W]``, C = 1 or 3.
    """
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def write_page(template: str, path: Path, **values: Any) -> Path:
    """Render a template to a file, atomically.

    Returns:
        The path.
    """
    text = environment().get_template(template).render(**values)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path
