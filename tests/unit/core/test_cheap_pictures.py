"""A picture is cheap only if the layout of its file bounds what decoding it can cost."""

from __future__ import annotations

import contextlib
import io
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from mlopsproject.core.cheap_pictures import MAX_BYTES, is_cheap
from mlopsproject.core.errors import ImageError
from mlopsproject.core.preprocess import WEB_FORMATS, decode_image


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def insert_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_small_pngs_are_cheap(encode, mode):
    assert is_cheap(encode(Image.new(mode, (64, 64))))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_small_jpegs_are_cheap(encode, mode, options):
    assert is_cheap(encode(Image.new(mode, (64, 64)), "JPEG", **options))


@pytest.mark.parametrize("file_format", ["WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_other_formats_never_are(encode, smooth_picture, file_format):
    assert not is_cheap(encode(smooth_picture(), file_format))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_more_pixels_or_bytes_are_not(encode, file_format):
    assert is_cheap(encode(Image.new("L", (512, 512)), file_format))
    assert not is_cheap(encode(Image.new("L", (513, 512)), file_format))
    assert not is_cheap(encode(Image.new("L", (64, 64)), file_format) + bytes(MAX_BYTES))


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\0", b"GIF89a", b"x" * 99]
)
def test_what_is_hardly_a_header_is_not(content):
    assert not is_cheap(content)


def test_colour_profiles_texts_and_exif_are_not(encode, smooth_picture):
    picture = smooth_picture()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("key", "value", zip=True)
    assert not is_cheap(encode(picture, "PNG", icc_profile=profile))
    assert not is_cheap(encode(picture, "PNG", pnginfo=text))
    for file_format in ("PNG", "JPEG"):
        assert not is_cheap(encode(picture, file_format, exif=exif))
    assert not is_cheap(encode(picture, "JPEG", icc_profile=profile))


def test_every_scan_of_a_jpeg_counts(encode, smooth_picture):
    content = encode(smooth_picture(512, 512), "JPEG", quality=20, progressive=True)
    assert content.count(b"\xff\xda") > 1
    assert not is_cheap(content)


def hostile() -> dict[str, bytes]:
    """Small files that cost as much as the layout lets them."""
    made = {}
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (512, 64), np.uint8)).save(stream, "PNG")
    png = stream.getvalue()
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000), 9))
    made["62 colour profiles"] = insert_chunks(png, *[profile] * 30)
    bomb = zlib.compress(bytes(40_000_000), 9)
    small = chunk(b"IHDR", (8).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0")
    made["pixels that go on"] = b"\x89PNG\r\n\x1a\n" + small + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    large = chunk(b"IHDR", (512).to_bytes(4, "big") * 2 + b"\x10\x06\0\0\x01")
    made["16 bits, interlaced"] = b"\x89PNG\r\n\x1a\n" + large + chunk(b"IDAT", bomb[:60_000]) + chunk(b"IEND", b"")
    made["many small chunks"] = insert_chunks(png[:2000], *[chunk(b"tIME", b"")] * 4000) + png[33:]
    return made


@pytest.mark.parametrize("name", list(hostile()))
def test_no_cheap_picture_takes_long(name):
    content = hostile()[name]
    start = time.thread_time()
    if is_cheap(content):
        with contextlib.suppress(ImageError):
            decode_image(content, min_jpeg_side=None, formats=WEB_FORMATS)
    assert time.thread_time() - start < 0.1


_PNG = io.BytesIO()
Image.new("RGB", (64, 64), 99).save(_PNG, "PNG")
_JPEG = io.BytesIO()
Image.new("RGB", (64, 64), 99).save(_JPEG, "JPEG", progressive=True)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([_PNG.getvalue(), _JPEG.getvalue()]),
    st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=6),
)
def test_what_is_cheap_is_decoded_or_refused_at_once(content, changes):
    mutated = bytearray(content)
    for place, value in changes:
        if place < len(mutated):
            mutated[place] = value
    if is_cheap(bytes(mutated)):
        start = time.thread_time()
        try:
            image = decode_image(bytes(mutated), min_jpeg_side=None, formats=WEB_FORMATS)
        except ImageError:
            pass
        else:
            assert image.width * image.height <= 512 * 512
        assert time.thread_time() - start < 0.2


@given(st.binary(max_size=300))
def test_any_bytes_are_told(content):
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\0\0\0\0xxxx"):
        assert is_cheap(start + content) in (True, False)
