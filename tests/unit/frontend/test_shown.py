"""What is shown of pictures and numbers: upright, small, and never rounded to a certainty."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlopsproject.frontend.charts import percent
from mlopsproject.frontend.parts import plain
from mlopsproject.frontend.pictures import from_address, from_content, thumbnail


def shown(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/webp;base64,"))))


def test_a_picture_is_shown_upright_and_without_what_a_camera_wrote_into_it(encode):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, :20] = 255
    given_picture = from_content(encode(pixels, "JPEG", exif=exif))
    image = shown(given_picture.source)
    assert given_picture.size == image.size == (20, 40)
    assert np.asarray(image.convert("L"))[:15].mean() > 240
    assert not image.getexif()


def test_a_large_picture_is_shown_smaller_but_keeps_its_size_for_the_boxes(encode):
    picture = from_content(encode(np.zeros((1000, 3000), np.uint8)))
    assert picture.size == (3000, 1000)
    assert max(shown(picture.source).size) <= 1280


@pytest.mark.parametrize("mode", ["I;16", "CMYK", "P", "LA", "1"])
def test_every_kind_of_picture_can_be_shown(encode, mode):
    content = encode(Image.new(mode, (9, 9)), "JPEG" if mode == "CMYK" else "PNG")
    assert shown(from_content(content).source).size == (9, 9)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_bytes_that_are_no_picture_are_kept_for_the_service_to_judge(content):
    picture = from_content(content)
    assert (picture.content, picture.source, picture.size) == (content, "", None)


def test_a_bomb_is_not_decoded(encode):
    small = encode(Image.new("1", (8000, 8000)))
    assert from_content(small).source == ""


@pytest.mark.parametrize("text", ["", "example.org/a.jpg", "file:///etc/passwd", "javascript:alert(1)", "http://"])
def test_what_is_no_web_address_is_refused(text):
    with pytest.raises(ValueError, match="starting with https:// or http://"):
        from_address(text)


def test_a_web_address_is_left_to_the_service():
    picture = from_address(" https://example.org/a.jpg ")
    assert (picture.source, picture.content) == ("https://example.org/a.jpg", None)


def test_a_thumbnail_is_small_whatever_the_picture(encode):
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    for content in (encode(noise), encode(noise, "JPEG"), encode(noise[:40, :50])):
        source = thumbnail(content)
        assert max(shown(source).size) <= 96
        assert len(source) < 16_000


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_what_is_no_picture_has_no_thumbnail(content):
    assert thumbnail(content) == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (1.0, "100.0 %"), (0.9999, "> 99.9 %"), (0.0001, "< 0.1 %"), (0.7163, "71.6 %")],
)
def test_percentages(share, text):
    assert percent(share) == text


@given(st.text())
def test_no_sign_of_markdown_is_left_bare(text):
    bare = plain(text)
    for sign in r"*_`[]<>$:#~|":
        assert bare.count(sign) == bare.count("\\" + sign)
    assert "\n" not in bare
