"""What a picture may cost: pixels, memory and passes over a JPEG, told before anything is decoded."""

from __future__ import annotations

import re
from typing import Final

from PIL import Image, TiffImagePlugin

from mlopsproject.core.errors import ImageError

#: Largest picture decoded, in pixels: 200 MB in colour, as Pillow keeps four bytes of a pixel.
MAX_PIXELS: Final = 50_000_000
#: Most memory that a picture of at most `MAX_PIXELS` may take while it is decoded, in bytes. It leaves room for all
#: pictures in gray, RGB or a palette, for 40 million pixels where a second copy in colour is needed (transparency,
#: CMYK, EXIF orientation), and for 20 million in WebP.
MAX_BYTES: Final = 320_000_000
#: Most passes over a JPEG. Each costs time for all its blocks and may take hardly a byte; programs write up to ten.
MAX_SCANS: Final = 100

#: What WebP's decoder takes for a pixel: two canvases, the bytes it hands over, and the picture.
_WEBP_BYTES: Final = 16
#: What is kept of each value of a JPEG in several passes until the last of them.
_COEFFICIENT_BYTES: Final = 2

_SCAN: Final = b"\xff\xda"
#: The next marker that is followed by a length, or the end: all others stand alone or within coded data.
_MARKER: Final = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xef\xfe])")
_END: Final = 0xD9


#: Longest side: some decoders and the face search take memory for every row or column.
MAX_SIDE: Final = 30_000


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse a picture without pixels, with too many, or with a side that is too long.

    Raises:
        ImageError: `empty` or `too_large`.
    """
    if not size[0] or not size[1]:
        raise ImageError("empty", f"The picture has no pixels ({size[0]} x {size[1]}).")
    if size[0] * size[1] > max_pixels:
        raise ImageError("too_large", f"The picture has {size[0]} x {size[1]} pixels; at most {max_pixels:,} are read.")
    if max(size) > MAX_SIDE:
        raise ImageError("too_large", f"The picture has {size[0]} x {size[1]} pixels; at most {MAX_SIDE:,} a side.")


def count_scans(content: bytes) -> int:
    """Count the passes over a JPEG, `MAX_SCANS` + 1 at most.

    Args:
        content: of the file.
    """
    # Coded data cannot hold this marker, but a thumbnail, a comment or a film behind the picture can: the markers are
    # followed one by one only where there is a choice.
    scans = content.count(_SCAN)
    if scans <= 1:
        return scans
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(content, place)) and found[1][0] != _END:
        scans += found[1][0] == _SCAN[1]
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    return scans


def check_scans(scans: int) -> None:
    """Refuse a JPEG of too many passes.

    Raises:
        ImageError: `unsupported`.
    """
    if scans > MAX_SCANS:
        raise ImageError("unsupported", f"The JPEG has more than {MAX_SCANS} scans.")


def check_memory(image: Image.Image, result: str, original: tuple[int, int], scans: int, max_pixels: int) -> None:
    """Refuse a picture that would take too much memory.

    Args:
        image: opened and not yet decoded, at the scale at which it will be.
        result: the mode that it will be converted to.
        original: its size in the file.
        scans: passes over it if it is a JPEG.
        max_pixels: beyond `MAX_PIXELS`, more memory is allowed in proportion.

    Raises:
        ImageError: `too_large`.
    """
    is_kept = result == image.mode and "transparency" not in image.info
    per_pixel = pixel_bytes(image.mode) + (0 if is_kept else pixel_bytes(result))
    needed = image.width * image.height * (_WEBP_BYTES if image.format == "WEBP" else per_pixel)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        needed += _block_bytes(image)
    if scans > 1:
        needed += original[0] * original[1] * len(image.getbands()) * _COEFFICIENT_BYTES
    check_bytes(needed, original, image.mode, max_pixels)


def _block_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """What a strip or tile of a compressed TIFF takes; it may be as large as the picture, or larger."""
    if not any(tile.codec_name == "libtiff" for tile in image.tile):
        return 0
    tags = image.tag_v2
    try:
        width = tags.get(TiffImagePlugin.TILEWIDTH, image.width)
        rows = min(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height), image.height)
        rows = tags.get(TiffImagePlugin.TILELENGTH, rows)
        return int(width * rows * sum(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) / 8)
    except Exception as error:  # a foreign header may hold anything
        raise ImageError("truncated", f"The picture's header is damaged ({error}).") from error


def check_bytes(needed: int, size: tuple[int, int], mode: str, max_pixels: int) -> None:
    """Refuse what takes more memory than a picture may.

    Args:
        needed: bytes at once.
        size: of the picture, to be named.
        mode: likewise.
        max_pixels: as in `check_memory`.

    Raises:
        ImageError: `too_large`.
    """
    if needed > max(MAX_BYTES, max_pixels * MAX_BYTES // MAX_PIXELS):
        shown = f"{size[0]} x {size[1]} pixels in mode {mode}"
        raise ImageError("too_large", f"The picture of {shown} would take {needed // 1_000_000} MB of memory.")


def pixel_bytes(mode: str) -> int:
    """What Pillow takes for a pixel."""
    if mode.startswith("I;16"):
        return 2
    return 1 if mode in ("1", "L", "P") else 4
