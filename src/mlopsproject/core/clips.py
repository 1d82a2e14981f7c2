"""Reads the frames of videos and animated pictures (GIF, PNG, WebP), one at a time."""

from __future__ import annotations

import itertools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image

from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.core.preprocess import decode_image

VIDEO_SUFFIXES: Final = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
)  # fmt: skip
_ANIMATIONS: Final = ("GIF", "PNG", "WEBP")
#: In seconds. As in browsers, frames with a duration up to the first value are shown for the second.
_TOO_SHORT: Final = 0.01
_USUAL: Final = 0.1
#: Bytes at the end of a GIF that are searched for its trailer byte: some programs append zeros.
_TAIL: Final = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a clip.

    Attributes:
        index: its position in the clip, from 0.
        time: when it is shown, in seconds from the start.
        image: mode ``L`` or ``RGB``, from `preprocess.decode_image`.
    """

    index: int
    time: float
    image: Image.Image


class Clip(ABC):
    """An opened video or animated picture.

    Attributes:
        path: of the file.
        announced: number of frames according to the file, for some video formats an estimate; ``None`` if unknown.
        read: number of frames read so far, including skipped ones.
    """

    path: Path
    announced: int | None
    read: int = 0

    @abstractmethod
    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Yield the frames; can be called only once.

        Args:
            every: yield every n-th frame only, beginning with the first.

        Raises:
            ImageError: `truncated`, after the last readable frame, if more were announced; or an error of
                `preprocess.decode_image` for a frame that cannot be used, which ends the clip.
        """

    def _cut_off(self) -> ImageError:
        known = f"announces {self.announced:,} frames" if (self.announced or 0) > self.read else "is cut off or corrupt"
        return ImageError("truncated", f"The file {known}; the first {self.read:,} could be read.")


def is_clip(source: str | Path) -> bool:
    """Whether a source is a file with a video suffix, or a GIF, PNG or WebP file of several frames."""
    path = Path(source)
    if not path.is_file():
        return False
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return True
    try:
        with Image.open(path, formats=_ANIMATIONS) as image:
            image.seek(1)
    except Exception:  # no second frame, or a decoder's error, which scoring it as a picture reports
        return False
    return True


def open_clip(path: Path) -> Clip:
    """Open a file that `is_clip` recognised.

    Raises:
        DataError: for a video that cannot be opened.
    """
    return _Video(path) if path.suffix.lower() in VIDEO_SUFFIXES else _Animation(path)


class _Animation(Clip):
    """GIF, APNG and WebP, decoded by Pillow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._image = Image.open(path, formats=_ANIMATIONS)
        try:
            self.announced = int(getattr(self._image, "n_frames", 1))
        except Exception:  # decoders raise any type on damaged files; reading the frames reports it
            self.announced = None

    def frames(self, every: int = 1) -> Iterator[Frame]:
        time = 0.0
        with self._image as image:
            for index in itertools.count():
                try:
                    image.seek(index)
                    # Skipped frames are decoded, too: the next may hold only the difference.
                    image.load()
                except EOFError:
                    break
                except Exception:  # decoders raise any type on damaged files
                    raise self._cut_off() from None
                self.read = index + 1
                if index % every == 0:
                    yield Frame(index, time, decode_image(image))
                duration = float(image.info.get("duration", 0)) / 1000
                time += duration if duration > _TOO_SHORT else _USUAL
        if self.announced is None or self.read < self.announced or not self._has_end():
            raise self._cut_off()

    def _has_end(self) -> bool:
        """Whether a GIF ends with its trailer byte, which shows a cut between two frames; true for other formats."""
        with self.path.open("rb") as stream:
            is_gif = stream.read(3) == b"GIF"
            stream.seek(-min(_TAIL, self.path.stat().st_size), os.SEEK_END)
            return not is_gif or stream.read().rstrip(b"\0").endswith(b";")


class _Video(Clip):
    """Videos, decoded by OpenCV's FFmpeg and rotated upright as their metadata say."""

    def __init__(self, path: Path) -> None:
        # Otherwise FFmpeg and OpenCV print messages of their own.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2
        from cv2.utils import logging

        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        self.path = path
        self._video: Any = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._video.isOpened():
            raise DataError(f"{path} is not a video that can be read.", "It may be cut off; try to play it.")
        self._rate = float(self._video.get(cv2.CAP_PROP_FPS))
        count = float(self._video.get(cv2.CAP_PROP_FRAME_COUNT))
        self.announced = int(count) if math.isfinite(count) and count >= 1 else None
        self._clock: Final = cv2.CAP_PROP_POS_MSEC

    def frames(self, every: int = 1) -> Iterator[Frame]:
        time = 0.0
        try:
            while self._video.grab():
                index, time = self.read, self._time(time)
                self.read += 1
                if index % every == 0:
                    yield Frame(index, time, self._picture())
        finally:
            self._video.release()
        if self.announced is not None and self.read < self.announced:
            raise self._cut_off()

    def _picture(self) -> Image.Image:
        good, pixels = self._video.retrieve()
        if not good:
            raise ImageError("truncated", "A frame cannot be decoded.")
        return decode_image(pixels[:, :, ::-1])

    def _time(self, last: float) -> float:
        """Time of the frame just read, in seconds; without timestamps in the file, from the frame rate."""
        time = float(self._video.get(self._clock)) / 1000
        if self.read == 0 or time > last:
            return max(time, 0.0)
        return last + (1 / self._rate if self._rate > 0 else 0.0)
