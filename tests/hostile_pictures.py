"""Picture files that cost far more than their size, a kind each; what they do is bounded, not what they look like."""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _png(width: int, height: int, pixels: bytes, *before: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG whose pixel data is given compressed."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _zeros(count: int) -> bytes:
    """Many zero bytes, compressed a piece at a time."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    parts = [packer.compress(piece) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(piece[: count & 0xFFFFF]), packer.flush()])


def _tiff(tags: dict[int, tuple[int, list[int]]], data: bytes = b"") -> bytes:
    """A little-endian TIFF: tags of type SHORT (3) or LONG (4) by number; `data` begins at byte 8."""
    size = {3: 2, 4: 4}
    place = 8 + len(data) + len(data) % 2
    directory, extra = struct.pack("<H", len(tags)), b""
    values_at = place + 2 + 12 * len(tags) + 4
    for number, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        entry = struct.pack("<HHI", number, kind, len(values))
        if size[kind] * len(values) <= 4:
            directory += entry + packed.ljust(4, b"\0")
        else:
            directory += entry + struct.pack("<I", values_at + len(extra))
            extra += packed
    return b"II*\0" + struct.pack("<I", place) + data.ljust(place - 8, b"\0") + directory + b"\0\0\0\0" + extra


def tiff_of_large_tiles(tiles: int = 16) -> bytes:
    """256 x 256 pixels in LZMA tiles of 300 MB each."""
    side = 17_328
    filters = [{"id": lzma.FILTER_DELTA, "dist": 1}, {"id": lzma.FILTER_LZMA2, "preset": 0}]
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    piece = bytes(1 << 20)
    tile = b"".join([*(packer.compress(piece) for _ in range(side * side >> 20)), packer.flush()])
    across = int(tiles**0.5)
    tags = {
        256: (4, [across * side]),
        257: (4, [across * side]),
        258: (3, [8]),
        259: (3, [34925]),
        262: (3, [1]),
        277: (3, [1]),
        322: (4, [side]),
        323: (4, [side]),
        324: (4, [8] * tiles),
        325: (4, [len(tile)] * tiles),
    }
    tags[256] = tags[257] = (4, [256])
    return _tiff(tags, tile)


def tiff_of_tiny_tiles(count: int = 1_200_000) -> bytes:
    """Raw tiles of 1 x 1 pixel."""
    side = int(count**0.5)
    tags = {
        256: (4, [side]),
        257: (4, [side]),
        258: (3, [8]),
        259: (3, [1]),
        262: (3, [1]),
        277: (3, [1]),
        322: (4, [1]),
        323: (4, [1]),
        324: (4, [8] * side**2),
        325: (4, [1] * side**2),
    }
    return _tiff(tags, b"\x80")


def png_of_one_column() -> bytes:
    """1 x 50,000,000 pixels."""
    return _png(1, 50_000_000, _zeros(100_000_000))


def bmp_of_one_column() -> bytes:
    """The header of a BMP of 1 x 50,000,000 pixels."""
    size = struct.pack("<IiiHHIIiiII", 40, 1, 50_000_000, 1, 1, 0, 0, 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 62, 0, 0, 62) + size + bytes(8 + 4_000_000)


def png_of_many_profiles(count: int = 9_000, size: int = 1_000_000) -> bytes:
    """Colour profiles that unpack to a megabyte each."""
    profile = _chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(size), 9))
    return _png(8, 8, zlib.compress(bytes(72)), *[profile] * count)


def png_of_many_texts(count: int = 60) -> bytes:
    """Compressed texts."""
    text = _chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(1_000_000), 9))
    return _png(8, 8, zlib.compress(bytes(72)), *[text] * count)


def png_of_the_most_pixels() -> bytes:
    """7,000 x 7,000 pixels of 16 bits with transparency."""
    return _png(7_000, 7_000, _zeros(7_000 * (7_000 * 8 + 1)), depth=16, colour=6)


def png_that_goes_on() -> bytes:
    """A small picture whose pixel data unpacks to far more than it needs."""
    return _png(8, 8, _zeros(2_000_000_000))


def gif_of_comments(size: int = 9_800_000) -> bytes:
    """A GIF made of comment blocks."""
    comment = b"!\xfe" + (b"\xff" + b"x" * 255) * 200 + b"\0"
    return b"GIF89a\x08\0\x08\0\x80\0\0" + bytes(6) + comment * (size // len(comment)) + b";"


def gif_of_the_most_pixels() -> bytes:
    """A GIF of 7,000 x 7,000 pixels with hardly any data."""
    frame = b",\0\0\0\0" + struct.pack("<HH", 7_000, 7_000) + b"\0"
    return b"GIF89a" + struct.pack("<HH", 7_000, 7_000) + b"\x80\0\0" + bytes(6) + frame + b"\x02\x02\x44\x01\0;"


def _saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def jpeg_of_many_scans(scans: int = 90) -> bytes:
    """A progressive JPEG of 20 megapixels, its last scan repeated."""
    content = _saved(Image.new("RGB", (900, 22_000)), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * (scans - content.count(b"\xff\xda") + 1) + content[-2:]


def jpeg_of_overlapping_exif() -> bytes:
    """EXIF whose thousands of entries all name the same 60 kB."""
    entries = b"".join(struct.pack("<HHII", 0x8000 + number, 7, 60_000, 8) for number in range(4_900))
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 4_900) + entries + bytes(4)
    content = _saved(Image.new("L", (64, 64)), "JPEG")
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


def webp_of_the_most_pixels() -> bytes:
    """5,000 x 4,000 pixels of one colour."""
    return _saved(Image.new("RGB", (5_000, 4_000)), "WEBP", lossless=True, method=0)


def avif_of_the_most_pixels() -> bytes:
    """6,000 x 6,000 pixels of one colour."""
    return _saved(Image.new("RGB", (6_000, 6_000)), "AVIF", speed=10)


def heic_of_the_most_pixels() -> bytes:
    """6,000 x 6,000 pixels of one colour."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return _saved(Image.new("RGB", (6_000, 6_000)), "HEIF", quality=10)


def bmp_that_says_more_than_it_has() -> bytes:
    """The header of a BMP of 7,000 x 7,000 pixels in 32 bits, without them."""
    size = struct.pack("<IiiHHIIiiII", 40, 7_000, 7_000, 1, 32, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + size + bytes(1_000)


def noise_of_the_most_pixels() -> bytes:
    """A PNG as large as a request may be, of pixels that do not compress."""
    pixels = np.random.default_rng(0).integers(0, 256, (3_000, 3_100), np.uint8)
    return _saved(Image.fromarray(pixels), "PNG", compress_level=1)


#: By name, what makes each file.
HOSTILE: dict[str, Callable[[], bytes]] = {
    function.__name__: function
    for function in (
        tiff_of_large_tiles,
        tiff_of_tiny_tiles,
        png_of_one_column,
        bmp_of_one_column,
        png_of_many_profiles,
        png_of_many_texts,
        png_of_the_most_pixels,
        png_that_goes_on,
        gif_of_comments,
        gif_of_the_most_pixels,
        jpeg_of_many_scans,
        jpeg_of_overlapping_exif,
        webp_of_the_most_pixels,
        avif_of_the_most_pixels,
        heic_of_the_most_pixels,
        bmp_that_says_more_than_it_has,
        noise_of_the_most_pixels,
    )
}
