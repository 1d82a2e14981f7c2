"""Any common picture becomes the network's input; anything else gets a stable reason."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, TiffImagePlugin

from mlopsproject.core import picture_limits
from mlopsproject.core.errors import ImageError
from mlopsproject.core.picture_limits import MAX_BYTES, MAX_SCANS
from mlopsproject.core.preprocess import WEB_FORMATS, decode_image, load_input, normalise, to_input
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.uint8 import BACKGROUND


def reason_of(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(source, **options)
    assert str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "GIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossless_formats_give_the_pixels_back(file_format, mode, encode, smooth_picture):
    picture = smooth_picture(40, 30, mode="L").convert(mode)
    options = {"lossless": True} if file_format == "WEBP" else {}
    decoded = decode_image(encode(picture, file_format, **options))
    assert decoded.mode in ("L", "RGB")
    np.testing.assert_array_equal(np.asarray(decoded.convert("L")), np.asarray(picture.convert("L")))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_in_any_mode_is_close_to_the_picture(mode, encode, smooth_picture):
    picture = smooth_picture(64, 64)
    decoded = decode_image(encode(picture.convert(mode), "JPEG", quality=95))
    difference = np.abs(np.asarray(decoded.convert("L"), float) - np.asarray(picture.convert("L"), float))
    assert difference.mean() < 4


def test_bytes_path_picture_and_array_give_the_same_pixels(tmp_path, encode, smooth_picture):
    picture = smooth_picture()
    content = encode(picture)
    (tmp_path / "face.png").write_bytes(content)
    sources = [content, tmp_path / "face.png", str(tmp_path / "face.png"), picture, np.asarray(picture)]
    results = [np.asarray(decode_image(source)) for source in sources]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation, file_format, encode, smooth_picture):
    upright = smooth_picture(48, 32, mode="L")
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encode(stored, file_format, exif=exif))
    assert decoded.size == upright.size
    assert decoded.info["original_size"] == upright.size
    difference = np.abs(np.asarray(decoded.convert("L"), float) - np.asarray(upright, float))
    assert difference.mean() < 4


def test_damaged_exif_does_not_cost_the_picture(encode, smooth_picture):
    content = encode(smooth_picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\x13" * 40)
    assert decode_image(content).size == (64, 64)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_show_mid_gray(mode, encode):
    picture = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    picture.paste((10, 10, 10, 255), (0, 0, 4, 8))
    source = picture.convert(mode)
    decoded = np.asarray(decode_image(source if mode == "PA" else encode(source)).convert("L"))
    assert (decoded[:, :4] == 10).all()
    assert (decoded[:, 4:] == BACKGROUND).all()


def test_half_transparent_pixels_are_mixed(encode):
    decoded = np.asarray(decode_image(encode(Image.new("RGBA", (4, 4), (255, 255, 255, 128)))))
    assert np.abs(decoded.astype(int) - (BACKGROUND + 255) / 2).max() <= 1


def test_palette_with_a_transparent_colour_shows_mid_gray(encode):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 200, 0, 0])
    picture.putpixel((0, 0), 0)
    decoded = decode_image(encode(picture, "PNG", transparency=0))
    assert decoded.getpixel((0, 0)) == (BACKGROUND,) * 3
    assert decoded.getpixel((1, 1)) == (200, 0, 0)


def test_one_bit_pictures_are_black_and_white(encode):
    pixels = np.indices((8, 8)).sum(0) % 2 * 255
    decoded = decode_image(encode(Image.fromarray(pixels.astype(np.uint8)).convert("1", dither=0)))
    assert decoded.mode == "L"
    np.testing.assert_array_equal(np.asarray(decoded), pixels)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_not_clipped(file_format, encode):
    wide = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = decode_image(encode(Image.fromarray(wide), file_format))
    np.testing.assert_array_equal(np.asarray(decoded), np.round(wide / 257).astype(np.uint8))
    assert decoded.info["original_mode"].startswith("I;16")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 0.5, 1.0]]), [0, 128, 255]),
        (np.float32([[0, 100.0, 255.0]]), [0, 100, 255]),
        (np.float32([[-1, 0, 1.0]]), [0, 128, 255]),
        (np.int32([[0, 100, 255]]), [0, 100, 255]),
        (np.int32([[0, 257, 65535]]), [0, 1, 255]),
        (np.int32([[0, 500_000, 1_000_000]]), [0, 128, 255]),
    ],
)
def test_float_and_32_bit_gray_is_scaled_by_its_range(values, expected, encode):
    decoded = np.asarray(decode_image(encode(Image.fromarray(values), "TIFF")))
    assert np.abs(decoded[0].astype(int) - expected).max() <= 1


def test_float_pictures_with_nan_are_unsupported(encode):
    assert reason_of(encode(Image.fromarray(np.float32([[np.nan, 1]])), "TIFF")) == "unsupported"


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(file_format, encode):
    frames = [Image.new("L", (16, 16), gray) for gray in (40, 120, 200)]
    content = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert np.abs(np.asarray(decode_image(content).convert("L")).astype(int) - 40).max() <= 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just some text, renamed .jpg", "not_an_image"),
        (b"\x00" * 500, "not_an_image"),
        (b"%PDF-1.7 ...", "unsupported"),
        (b"8BPS\0\1", "truncated"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "truncated"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "truncated"),
        (b"\xff\x0a", "unsupported"),
        (b"\xff\xd8\xff\xe0", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "truncated"),
    ],
)
def test_what_is_no_picture_says_why(content, reason):
    assert reason_of(content) == reason


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_off_files_are_truncated(file_format, share, encode, smooth_picture):
    content = encode(smooth_picture(120, 120), file_format)
    assert reason_of(content[: int(len(content) * share)]) == "truncated"


def test_missing_files_and_folders_are_unreadable(tmp_path):
    assert reason_of(tmp_path / "missing.png") == "unreadable"
    assert reason_of(tmp_path) == "unreadable"
    assert reason_of("bad\0name") == "unreadable"


def test_decompression_bombs_are_refused_from_the_header_alone():
    # A valid header of 60,000 x 60,000 pixels; the data is never looked at.
    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    chunk = b"IHDR" + header
    content = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    assert reason_of(content + b"\0\0\0\0IDAT") == "too_large"


def with_scans(content, count):
    """A progressive JPEG with its last scan repeated until there are so many."""
    last = content.rindex(b"\xff\xda")
    scan = content[last:-2]
    return content[:last] + scan * (count - content.count(b"\xff\xda") + 1) + content[-2:]


@pytest.mark.parametrize("as_path", [False, True])
def test_jpegs_of_very_many_scans_are_unsupported(as_path, tmp_path, encode, smooth_picture):
    content = encode(smooth_picture(64, 64), "JPEG", progressive=True)
    for count, good in ((MAX_SCANS, True), (MAX_SCANS + 1, False), (5000, False)):
        source = with_scans(content, count)
        assert source.count(b"\xff\xda") == count
        if as_path:
            (tmp_path / "face.jpg").write_bytes(source)
            source = tmp_path / "face.jpg"
        if good:
            assert decode_image(source).size == (64, 64)
        else:
            assert reason_of(source) == "unsupported"


def test_what_looks_like_scans_before_and_behind_the_picture_does_not_count(encode, smooth_picture):
    content = encode(smooth_picture(), "JPEG", exif=b"Exif\0\0" + b"\xff\xda\0\2" * 200)
    film = b"\xff\xda\0\2" * 200
    expected = np.asarray(decode_image(encode(smooth_picture(), "JPEG")))
    np.testing.assert_array_equal(np.asarray(decode_image(content + film)), expected)


def test_scans_behind_a_marker_that_stands_alone_count(encode, smooth_picture):
    content = with_scans(encode(smooth_picture(), "JPEG", progressive=True), 200)
    last = content.rindex(b"\xff\xda")
    for alone in (b"\xff\xd0", b"\xff\x01", b"\xff\x00", b"\xff\xff", b"stray"):
        assert reason_of(content[:last] + alone + content[last:]) == "unsupported"


def test_large_pictures_are_converted_in_tiles_without_a_seam(encode):
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 65536, (1030, 2050), dtype=np.uint16)
    np.testing.assert_array_equal(np.asarray(decode_image(encode(Image.fromarray(wide)))), (wide + 128.0) // 257)
    values = rng.normal(size=(1030, 1500)).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    expected = np.rint((values.astype(np.float64) - low) * (255 / (high - low)))
    np.testing.assert_array_equal(np.asarray(decode_image(Image.fromarray(values))), expected)
    mixed = Image.fromarray(rng.integers(0, 256, (1030, 1500, 4), dtype=np.uint8))
    canvas = Image.new("RGB", mixed.size, (BACKGROUND,) * 3)
    canvas.paste(mixed.convert("RGB"), mask=mixed.getchannel("A"))
    np.testing.assert_array_equal(np.asarray(decode_image(mixed)), np.asarray(canvas))


_PEAK = """
import io, resource, sys
from PIL import Image
from mlopsproject.core.errors import ImageError
from mlopsproject.core.preprocess import decode_image
content = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    said = decode_image(content).mode
except ImageError as error:
    said = error.reason
print(said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("mode", "size", "file_format", "options", "said"),
    [
        ("F", (7000, 7000), "TIFF", {"compression": "tiff_adobe_deflate"}, "L"),
        ("I;16", (7000, 7000), "PNG", {}, "L"),
        ("LA", (7000, 7000), "PNG", {}, "L"),
        ("RGBA", (6300, 6300), "PNG", {}, "RGB"),
        ("RGBA", (7000, 7000), "PNG", {}, "too_large"),
        ("RGB", (7000, 7000), "PNG", {"transparency": (0, 0, 0)}, "too_large"),
        ("RGB", (7000, 7000), "WEBP", {"method": 0}, "too_large"),
        ("CMYK", (1020, 30000), "JPEG", {}, "RGB"),
        ("RGB", (1020, 30000), "JPEG", {"progressive": True}, "RGB"),
        ("F", (7000, 7000), "TIFF", {"compression": "tiff_adobe_deflate", "strip_size": 10**9}, "too_large"),
    ],
)
@pytest.mark.slow
def test_no_picture_takes_more_memory_than_the_limit(mode, size, file_format, options, said, encode):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TiffImagePlugin, "STRIP_SIZE", options.pop("strip_size", TiffImagePlugin.STRIP_SIZE))
        content = encode(Image.new(mode, size), file_format, **options)
    done = subprocess.run([sys.executable, "-c", _PEAK], input=content, capture_output=True, check=True)
    outcome, peak = done.stdout.split()
    assert outcome.decode() == said
    assert int(peak) < 1.1 * MAX_BYTES / 2**20


def test_a_picture_that_would_be_turned_in_too_much_memory_is_too_large(encode, monkeypatch):
    monkeypatch.setattr(picture_limits, "MAX_BYTES", 64 * 64 * 6)
    monkeypatch.setattr(picture_limits, "MAX_PIXELS", 10**9)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = Image.new("RGB", (64, 64))
    assert decode_image(encode(picture), max_pixels=64 * 64).size == (64, 64)
    assert reason_of(encode(picture, exif=turned), max_pixels=64 * 64) == "too_large"


def test_a_side_that_is_too_long_is_refused_from_the_header_alone(encode):
    content = encode(Image.new("1", (30_001, 1)), "PNG")
    assert reason_of(content) == "too_large"
    assert decode_image(encode(Image.new("1", (30_000, 1)), "PNG")).size == (30_000, 1)


@pytest.mark.parametrize("file_format", ["TIFF", "JPEG2000", "PPM", "ICO"])
def test_formats_of_data_sets_are_read_only_where_they_are_wanted(encode, smooth_picture, file_format):
    content = encode(smooth_picture(), file_format)
    assert decode_image(content).size == (64, 64)
    with pytest.raises(ImageError, match="use one of JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP") as caught:
        decode_image(content, formats=WEB_FORMATS)
    assert caught.value.reason == "unsupported"


@pytest.mark.parametrize("file_format", ["AVIF", "HEIF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_photos_of_phones_are_read(encode, smooth_picture, file_format, mode):
    picture = smooth_picture(mode=mode)
    found = decode_image(encode(picture, file_format, quality=95), formats=WEB_FORMATS).convert(mode)
    assert np.abs(np.asarray(found).astype(int) - np.asarray(picture)).mean() < 6


def test_no_size_of_a_picture_is_warned_of_or_remembered(recwarn):
    for width in (9_500, 9_501, 9_502):
        header = width.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
        chunk = b"IHDR" + header
        content = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            assert reason_of(content + b"\0\0\0\0IDAT") == "too_large"
    code = (
        "import warnings, mlopsproject.core.preprocess\nprint([f[0] for f in warnings.filters if 'Bomb' in str(f[2])])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['ignore']"


def test_the_largest_size_can_be_chosen(encode, smooth_picture):
    assert reason_of(encode(smooth_picture(20, 20)), max_pixels=399) == "too_large"
    assert decode_image(encode(smooth_picture(20, 20)), max_pixels=400).size == (20, 20)
    assert reason_of(np.zeros((20, 20), np.uint8), max_pixels=399) == "too_large"
    assert reason_of(Image.new("L", (20, 20)), max_pixels=399) == "too_large"


def test_a_20_megapixel_jpeg_is_read_at_reduced_scale_and_looks_the_same(encode, smooth_picture):
    content = encode(smooth_picture(5472, 3648), "JPEG", quality=85)
    small, full = decode_image(content), decode_image(content, min_jpeg_side=None)
    assert full.size == (5472, 3648)
    assert min(small.size) >= 512
    assert small.width < full.width / 2
    assert small.info["original_size"] == (5472, 3648)
    difference = to_input(small, 64, 1, "bilinear").astype(int) - to_input(full, 64, 1, "bilinear")
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("side", [64, 512, 1023])
def test_jpegs_of_ordinary_size_keep_every_pixel(side, encode, smooth_picture):
    assert decode_image(encode(smooth_picture(side, side), "JPEG")).size == (side, side)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 1), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_arrays_of_other_types_and_shapes_are_unsupported(pixels):
    assert reason_of(pixels) == "unsupported"


def test_arrays_and_pictures_without_pixels_are_empty():
    assert reason_of(np.zeros((0, 4), np.uint8)) == "empty"
    assert reason_of(Image.new("L", (0, 0))) == "empty"


def test_the_callers_picture_is_left_as_it_is(smooth_picture):
    picture = smooth_picture(32, 32)
    picture.info["mark"] = 1
    decoded = decode_image(picture)
    assert decoded is not picture
    assert picture.info == {"mark": 1}


def test_a_picture_in_an_odd_mode_is_unsupported():
    assert reason_of(Image.new("LAB", (4, 4))) == "unsupported"


@pytest.mark.parametrize("channels", [1, 3])
def test_input_has_the_shape_of_the_spec(channels, smooth_picture):
    spec = InputSpec(size=48, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    result = load_input(smooth_picture(100, 70), spec)
    assert result.shape == (channels, 48, 48)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


def test_colours_keep_their_place(encode):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    result = to_input(decode_image(encode(red)), 8, 3, "bilinear")
    assert result[0].min() == 255
    assert result[1:].max() == 0
    assert to_input(decode_image(encode(red)), 8, 1, "bilinear").max() == 76  # 0.299 * 255


@given(
    pixels=npst.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    size=st.integers(8, 64),
    resize_filter=st.sampled_from(["nearest", "box", "bilinear", "hamming"]),
)
@settings(max_examples=60, deadline=None)
def test_resizing_never_leaves_the_range_of_the_picture(pixels, size, resize_filter):
    result = to_input(decode_image(pixels), size, 1, resize_filter)
    assert result.shape == (1, size, size)
    assert pixels.min() <= result.min() <= result.max() <= pixels.max()


@given(pixels=npst.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3]))))
@settings(max_examples=60, deadline=None)
def test_arrays_survive_a_png_unchanged(pixels):
    stream = io.BytesIO()
    decode_image(pixels).save(stream, "PNG")
    decoded = np.asarray(decode_image(stream.getvalue()))
    np.testing.assert_array_equal(decoded.reshape(pixels.shape), pixels)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_files_decode_or_say_why(data):
    picture = Image.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48))
    file_format = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]))
    stream = io.BytesIO()
    picture.save(stream, file_format)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(content), max_pixels=1_000_000)
    except ImageError as error:
        assert error.reason in ("empty", "not_an_image", "truncated", "too_large", "unsupported")  # noqa: PT017
    else:
        assert decoded.mode in ("L", "RGB")


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_random_bytes_never_raise_anything_else(content):
    with pytest.raises(ImageError):
        decode_image(content)


@given(
    batch=npst.arrays(np.uint8, (2, 3, 4, 5)),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.05, 1)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_normalise_is_the_formula_of_the_spec(batch, mean, std):
    expected = (batch / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    result = normalise(batch, mean, std)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
