"""Preprocessing of a picture to the network's input: decode, resize, normalise.

Training, evaluation, the API and batch scoring all use these functions, so that a picture gives the same input
everywhere.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mlopsproject.core.errors import ImageError, first_line
from mlopsproject.core.picture_limits import (
    MAX_PIXELS,
    check_bytes,
    check_memory,
    check_scans,
    check_size,
    count_scans,
    pixel_bytes,
)
from mlopsproject.core.uint8 import result_mode, to_uint8

if TYPE_CHECKING:  # pydantic would slow the start of an import's worker processes
    from mlopsproject.core.spec import InputSpec, ResizeFilter

# `check_size` decides instead. Python prints a warning for every new size, and keeps its text in memory.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

ImageSource = bytes | str | Path | Image.Image | NDArray[np.uint8]

#: JPEGs may be decoded at 1/2, 1/4 or 1/8 scale as long as the shorter side keeps this many pixels.
MIN_JPEG_SIDE: Final = 512

#: Pillow's names of the formats that browsers and phones send, the most frequent first.
WEB_FORMATS: Final = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP")
#: The same and further formats of data sets and archives.
ALL_FORMATS: Final = (*WEB_FORMATS, "TIFF", "JPEG2000", "PPM", "PSD", "ICO")
#: First bytes of files → Pillow's name of the format; ISO media files (`ftyp`) are distinguished by their brands.
_SIGNATURES: Final = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WEBP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"P5": "PPM",
    b"P6": "PPM",
    b"8BPS": "PSD",
    b"\0\0\1\0": "ICO",
}
#: Modules of formats that Pillow does not load by default; to find one it would load all of its forty.
_PLUGINS: Final = {
    "WEBP": "PIL.WebPImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
    "HEIF": "pillow_heif.HeifImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "PSD": "PIL.PsdImagePlugin",
    "ICO": "PIL.IcoImagePlugin",
}
_HEAD: Final = 64
#: First bytes of other kinds of picture or document, which are not supported.
_UNSUPPORTED: Final = (b"%!PS", b"%PDF", b"\xff\x0a", b"\0\0\0\x0cJXL", b"icns", b"II+\0", b"MM\0+")
_NAMES: Final = {"WEBP": "WebP", "HEIF": "HEIC", "JPEG2000": "JPEG 2000"}
_EXIF_KEYS: Final = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_ORIENTATION_TAG: Final = 0x0112
_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = {_TRANSPOSE[tag] for tag in (5, 6, 7, 8)}


def decode_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    min_jpeg_side: int | None = MIN_JPEG_SIDE,
    formats: Sequence[str] = ALL_FORMATS,
) -> Image.Image:
    """Decode one picture into 8-bit gray or RGB, upright and opaque.

    EXIF orientation is applied, transparency is blended with mid-gray (128), the first frame of an animation is used,
    16-bit gray is scaled by 1/257, palettes and CMYK are converted to RGB. For float and 32-bit gray see
    `uint8.to_uint8`.

    Args:
        source: the file's bytes, its path, an opened picture (not modified), or uint8 pixels `[H, W]`, `[H, W, 1]` or
            `[H, W, 3]` (RGB), 0-255.
        max_pixels: refuse pictures with more pixels than this, before decoding them.
        min_jpeg_side: decode large JPEGs at a smaller scale, keeping at least this many pixels on the shorter side
            (several times faster); ``None`` always decodes every pixel.
        formats: Pillow's names of the formats that are read.

    Returns:
        A picture in mode ``L`` or ``RGB``. Its ``info`` holds ``original_size`` (width, height in pixels, upright,
        before any reduction) and ``original_mode`` (Pillow's name of the mode as found).

    Raises:
        ImageError: with reason `empty` (no bytes or no pixels), `not_an_image`, `unsupported` (a picture, of a kind not
            read here), `truncated` (cut off or corrupt), `too_large` (more than `max_pixels`, or more memory
            than `picture_limits.MAX_BYTES`) or `unreadable` (the file is missing or may not be read).
    """
    if isinstance(source, Image.Image):
        check_size(source.size, max_pixels)
        return _finish(source)
    if isinstance(source, np.ndarray):
        return _finish(_from_array(source, max_pixels))
    if isinstance(source, bytes):
        return _decode_stream(io.BytesIO(source), max_pixels, min_jpeg_side, formats)
    path = Path(source)
    try:
        with path.open("rb") as stream:
            return _decode_stream(stream, max_pixels, min_jpeg_side, formats)
    except FileNotFoundError:
        raise ImageError("unreadable", f"{path} does not exist.") from None
    except (OSError, ValueError) as error:  # no permission, a folder, an impossible name
        raise ImageError("unreadable", f"{path} cannot be read ({error}).") from None


def to_input(image: Image.Image, size: int, channels: int, resize_filter: ResizeFilter) -> NDArray[np.uint8]:
    """Resize a decoded picture to the network's input size.

    The whole picture is stretched to a square. Downscaling is antialiased for every filter but ``nearest``.

    Args:
        image: mode ``L`` or ``RGB``, from `decode_image`.
        size: side of the result in pixels.
        channels: 1 (gray, ITU-R 601 luma) or 3 (RGB).
        resize_filter: Pillow's filter by name.

    Returns:
        uint8 `[channels, size, size]`, 0-255.
    """
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling[resize_filter.upper()])
    pixels: NDArray[np.uint8] = np.asarray(image)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def load_input(source: ImageSource, spec: InputSpec, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one picture and resize it to the model's input size.

    Args:
        source: as in `decode_image`.
        spec: the model's input.
        max_pixels: as in `decode_image`.

    Returns:
        uint8 `[channels, size, size]`, 0-255.

    Raises:
        ImageError: as in `decode_image`.
    """
    image = decode_image(source, max_pixels=max_pixels, min_jpeg_side=max(MIN_JPEG_SIDE, spec.size))
    return to_input(image, spec.size, spec.channels, spec.resize_filter)


def normalise(batch: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """Normalise pixels to the network's input values, ``(pixel / 255 - mean) / std`` per channel.

    Args:
        batch: uint8 `[N, C, H, W]`, 0-255.
        mean: one value per channel, on the 0-1 scale.
        std: one positive value per channel, on the 0-1 scale.

    Returns:
        float32 `[N, C, H, W]`.
    """
    scale, offset = _affine(tuple(mean), tuple(std))
    values = batch.astype(np.float32)
    values *= scale
    values += offset
    return values


@lru_cache(maxsize=16)
def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale and offset per channel, float32 `[1, C, 1, 1]`."""
    deviation = np.asarray(std, dtype=np.float64)
    scale = (1 / (255 * deviation)).astype(np.float32).reshape(1, -1, 1, 1)
    offset = (-np.asarray(mean, dtype=np.float64) / deviation).astype(np.float32).reshape(1, -1, 1, 1)
    return scale, offset


def _decode_stream(
    stream: io.BufferedIOBase, max_pixels: int, min_jpeg_side: int | None, formats: Sequence[str]
) -> Image.Image:
    file_format = _format(stream.read(_HEAD), formats)
    stream.seek(0)
    scans = 0
    if file_format == "JPEG":
        scans = count_scans(stream.read())
        check_scans(scans)
        stream.seek(0)
    try:
        if file_format in _PLUGINS:
            import_module(_PLUGINS[file_format])
        image: Image.Image = Image.open(stream, formats=[file_format])  # type: ignore[arg-type]
    except Image.DecompressionBombError:
        raise ImageError("too_large", f"The picture has more than {max_pixels:,} pixels.") from None
    except UnidentifiedImageError:
        raise ImageError("truncated", "The picture's header is cut off or corrupt.") from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise any type on damaged files
        raise ImageError("truncated", f"The picture's header is damaged ({first_line(error)}).") from error
    check_size(image.size, max_pixels)
    original = image.size
    if min_jpeg_side is not None and image.format in ("JPEG", "MPO") and min(original) >= 2 * min_jpeg_side:
        scale = min(original) // min_jpeg_side
        # `draft` takes the smallest scale that is at least the size asked for.
        image.draft(None, (original[0] // scale, original[1] // scale))
    check_memory(image, result_mode(image), original, scans, max_pixels)
    return _finish(image, original, max_pixels)


def _format(head: bytes, formats: Sequence[str]) -> str:
    """Pillow's name of a file's format.

    Raises:
        ImageError: `empty`, `not_an_image`, or `unsupported` if it is none of `formats`.
    """
    if not head:
        raise ImageError("empty", "The file is empty (0 bytes).")
    found = next((name for start, name in _SIGNATURES.items() if head.startswith(start)), None)
    if head[4:8] == b"ftyp":
        found = "AVIF" if b"avi" in head[8:] else "HEIF"
    taken = ", ".join(_NAMES.get(name, name) for name in formats)
    if found is None and not head.startswith(_UNSUPPORTED):
        raise ImageError("not_an_image", f"The file is not a picture in one of the formats {taken}.")
    if found not in formats:
        raise ImageError("unsupported", f"This picture format is not read here; use one of {taken}.")
    assert found is not None
    return found


def _finish(image: Image.Image, original: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the pixels of an opened picture; make it 8-bit, opaque and upright.

    Args:
        image: opened; not modified if `original` is `None`.
        original: its size before any reduction; `None` for a picture that the caller opened.
        max_pixels: as in `decode_image`; used only with `original`.
    """
    width, height = original or image.size
    mode = image.mode
    try:
        image.load()
        turn = _TRANSPOSE.get(_orientation(image))
        result = to_uint8(image)
        if original is not None and result is not image:
            image.close()  # frees the memory of its pixels
        if turn is not None:
            if original is not None:
                check_bytes(2 * result.width * result.height * pixel_bytes(result.mode), original, mode, max_pixels)
            result = result.transpose(turn)
        elif original is None and result is image:
            result = image.copy()
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError):
        raise ImageError("too_large", f"The picture of {width} x {height} pixels does not fit in memory.") from None
    except Exception as error:  # decoders raise any type on damaged files
        raise ImageError("truncated", f"The picture is cut off or corrupt ({error}).") from error
    if turn in _SIDEWAYS:
        width, height = height, width
    result.info = {"original_size": (width, height), "original_mode": mode}
    return result


def _from_array(pixels: NDArray[Any], max_pixels: int) -> Image.Image:
    gray = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1)
    if pixels.dtype != np.uint8 or not (gray or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        found = f"An array of {pixels.dtype} {list(pixels.shape)}"
        raise ImageError("unsupported", f"{found} is not a picture; give uint8 [H, W], [H, W, 1] or [H, W, 3].")
    check_size((pixels.shape[1], pixels.shape[0]), max_pixels)
    return Image.fromarray(pixels.reshape(pixels.shape[:2]) if gray else pixels)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1-8; 1 when there is none or it cannot be read."""
    # Reading EXIF costs more than decoding a face of 64 x 64, and most faces have none.
    if image.format != "TIFF" and not any(key in image.info for key in _EXIF_KEYS):
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # a picture with damaged EXIF is still usable
        return 1


def mirrored(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mirror network inputs left to right, uint8 `[N, C, H, W]`."""
    return np.ascontiguousarray(images[:, :, :, ::-1])
