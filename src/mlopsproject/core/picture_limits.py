"""Limits of a picture's pixels, memory and JPEG scans, checked before it is decoded."""

from __future__ import annotations

import re
from typing import Final

from PIL import Image, TiffImagePlugin

from mlopsproject.core.errors import ImageError

#: Largest picture decoded, in pixels: 200 MB in RGB, for which Pillow uses four bytes per pixel.
MAX_PIXELS: Final = 50_000_000
#: Most memory for decoding a picture of at most `MAX_PIXELS`, in bytes. It suffices for all pictures in gray, RGB or
#: with a palette, for 40 million pixels if a second copy in colour is needed (transparency, CMYK, EXIF orientation),
#: and for 20 million in WebP.
MAX_BYTES: Final = 320_000_000
#: Most scans of a JPEG. Each takes time for all blocks but hardly a byte of the file; programs write up to ten.
MAX_SCANS: Final = 100

#: Bytes per pixel of WebP's decoder: two canvases, the bytes that it returns, and the picture.
_WEBP_BYTES: Final = 16
#: Bytes per value of a JPEG of several scans, whose DCT coefficients are kept until the last scan.
_COEFFICIENT_BYTES: Final = 2

_SCAN: Final = b"\xff\xda"
#: The next marker that is followed by a length, or the end marker: all others have no length or are coded data.
_MARKER: Final = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xef\xfe])")
_END: Final = 0xD9

#: Longest side in pixels: some decoders and the face detection allocate memory per row or column.
MAX_SIDE: Final = 30_000


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse a picture without pixels, with more than `max_pixels`, or with a side above `MAX_SIDE`.

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
    """Count the scans of a JPEG file, up to `MAX_SCANS` + 1.

    Args:
        content: of the file.
    """
    # Coded data cannot contain this marker, but a thumbnail, a comment or a video after the picture can: if it occurs
    # more than once, the segments are parsed one by one.
    scans = content.count(_SCAN)
    if scans <= 1:
        return scans
    scans, place = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(content, place)) and found[1][0] != _END:
        scans += found[1][0] == _SCAN[1]
        place = found.end() + int.from_bytes(content[found.end() : found.end() + 2])
    return scans


def check_scans(scans: int) -> None:
    """Refuse a JPEG of more than `MAX_SCANS` scans.

    Raises:
        ImageError: `unsupported`.
    """
    if scans > MAX_SCANS:
        raise ImageError("unsupported", f"The JPEG has more than {MAX_SCANS} scans.")


def check_memory(image: Image.Image, result: str, original: tuple[int, int], scans: int, max_pixels: int) -> None:
    """Refuse a picture whose decoding would take too much memory.

    Args:
        image: opened and not yet decoded; a JPEG is set to the scale at which it will be decoded.
        result: the mode that it will be converted to.
        original: its width and height in the file.
        scans: number of scans of a JPEG, else 0.
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
    """Bytes of a strip or tile of a compressed TIFF, which may be as large as the picture, or larger."""
    if not any(tile.codec_name == "libtiff" for tile in image.tile):
        return 0
    tags = image.tag_v2
    try:
        width = tags.get(TiffImagePlugin.TILEWIDTH, image.width)
        rows = min(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height), image.height)
        rows = tags.get(TiffImagePlugin.TILELENGTH, rows)
        return int(width * rows * sum(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) / 8)
    except Exception as error:  # the tags of a damaged header may have any type
        raise ImageError("truncated", f"The picture's header is damaged ({error}).") from error


def check_bytes(needed: int, size: tuple[int, int], mode: str, max_pixels: int) -> None:
    """Refuse a picture that takes more memory than allowed.

    Args:
        needed: peak memory in bytes.
        size: width and height of the picture, for the message.
        mode: of the picture, for the message.
        max_pixels: as in `check_memory`.

    Raises:
        ImageError: `too_large`.
    """
    if needed > max(MAX_BYTES, max_pixels * MAX_BYTES // MAX_PIXELS):
        shown = f"{size[0]} x {size[1]} pixels in mode {mode}"
        raise ImageError("too_large", f"The picture of {shown} would take {needed // 1_000_000} MB of memory.")


def pixel_bytes(mode: str) -> int:
    """Bytes per pixel that Pillow uses for a mode."""
    if mode.startswith("I;16"):
        return 2
    return 1 if mode in ("1", "L", "P") else 4
