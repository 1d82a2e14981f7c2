"""Face detection, and cropping of faces as in the training data."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlopsproject.core.errors import UserError, first_line
from mlopsproject.core.schemas import Box

#: Margin of a crop on every side, as a share of the face's box. 0 is best: FER2013, the training data, was cropped with
#: a cascade of the same kind.
MARGIN: Final = 0.0

_CASCADE: Final = "haarcascade_frontalface_alt2.xml"
#: Scale factor between two levels of the image pyramid, and minimum number of neighbouring detections.
_STEP: Final = 1.15
_VOTES: Final = 3
#: The border pixels are repeated outwards by this share of the picture's longer side: a cascade needs the surroundings
#: of a face and misses many faces that fill their picture.
_BORDER: Final = 0.2


@cache
def face_finder(model: Path | None, max_side: int = 640, min_share: float = 0.1) -> FaceFinder:
    """The cached `FaceFinder` of this process with these arguments."""
    return FaceFinder(model, max_side=max_side, min_share=min_share)


class FaceFinder:
    """Detects upright, roughly frontal faces. Thread-safe: each thread has a detector of its own.

    Args:
        model: a YuNet model (`.onnx`) for OpenCV's `FaceDetectorYN`; `None` takes the Haar cascade of OpenCV's wheel.
        max_side: pictures are downscaled to this many pixels on the longer side before detection.
        min_share: smallest face that is detected, as a share of the picture's shorter side.

    Raises:
        UserError: if `model` is missing or no YuNet model.
    """

    def __init__(self, model: str | Path | None = None, *, max_side: int = 640, min_share: float = 0.1) -> None:
        self.model = None if model is None else Path(model)
        self.max_side = max_side
        self.min_share = min_share
        self._own = threading.local()
        self._detector()

    def find(self, image: Image.Image) -> list[Box]:
        """Detect faces.

        Args:
            image: mode ``L`` or ``RGB``, upright, from `preprocess.decode_image`.

        Returns:
            Their boxes in pixels of `image`, clipped to it, the largest first; empty if there are none.
        """
        scale = min(1.0, self.max_side / max(image.size))
        small = image
        if scale < 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        found = self._haar(small) if self.model is None else self._yunet(small)
        boxes = [scale_box(box, small.size, image.size) for box in found]
        return sorted((box for box in boxes if box[2] and box[3]), key=lambda box: (-box[2] * box[3], box))

    def _haar(self, image: Image.Image) -> list[Box]:
        border = round(max(image.size) * _BORDER)
        pixels = np.pad(np.asarray(image.convert("L")), border, mode="edge")
        least = max(1, round(min(image.size) * self.min_share))
        found = self._detector().detectMultiScale(
            pixels, scaleFactor=_STEP, minNeighbors=_VOTES, minSize=(least, least)
        )
        return [(int(x) - border, int(y) - border, int(w), int(h)) for x, y, w, h in found]

    def _yunet(self, image: Image.Image) -> list[Box]:
        detector = self._detector()
        detector.setInputSize(image.size)
        pixels: NDArray[np.uint8] = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
        _, found = detector.detect(pixels)
        rows = [] if found is None else found[:, :4].tolist()
        least = min(image.size) * self.min_share
        return [(round(x), round(y), round(w), round(h)) for x, y, w, h in rows if max(w, h) >= least]

    def _detector(self) -> Any:
        """The calling thread's detector; OpenCV's detectors keep state between calls."""
        detector = getattr(self._own, "detector", None)
        if detector is None:
            detector = self._own.detector = _open_detector(self.model)
        return detector


def _open_detector(model: Path | None) -> Any:
    # Imported late: OpenCV takes time and memory that only face detection needs.
    import cv2
    import cv2.data

    # The work is spread over processes instead.
    cv2.setNumThreads(1)
    if model is None:
        return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, _CASCADE)))
    if not model.is_file():
        raise UserError(f"The face model {model} does not exist.", "Give the path of a YuNet .onnx file.")
    try:
        detector = cv2.FaceDetectorYN.create(str(model), "", (64, 64))
        detector.detect(np.zeros((64, 64, 3), np.uint8))
    except cv2.error as error:
        reason = first_line(error)
        raise UserError(f"{model} is not a YuNet model ({reason}).", "Give the path of a YuNet .onnx file.") from error
    return detector


def scale_box(box: Box, size: tuple[int, int], target: tuple[int, int]) -> Box:
    """Scale a box from one size of a picture to another, and clip it to the picture.

    Args:
        box: in pixels of the picture at `size`.
        size: width and height that `box` refers to.
        target: width and height wanted.

    Returns:
        The box in pixels of the picture at `target`; width or height are 0 if it lies outside.
    """
    x, y, width, height = box
    across, down = target[0] / size[0], target[1] / size[1]
    left, right = (min(max(round(edge * across), 0), target[0]) for edge in (x, x + width))
    upper, lower = (min(max(round(edge * down), 0), target[1]) for edge in (y, y + height))
    return left, upper, right - left, lower - upper


def crop(image: Image.Image, box: Box, margin: float = MARGIN) -> Image.Image:
    """Crop a face as a square around the centre of its box.

    Args:
        image: the picture.
        box: of the face, in its pixels.
        margin: added on every side, as a share of the box's longer side.

    Returns:
        The square, see `square`.
    """
    left, upper, width, height = square(image.size, box, margin)
    return image.crop((left, upper, left + width, upper + height))


def square(size: tuple[int, int], box: Box, margin: float = MARGIN) -> Box:
    """The square that `crop` cuts out of a picture.

    Args:
        size: width and height of the picture.
        box: of the face, in its pixels.
        margin: added on every side, as a share of the box's longer side.

    Returns:
        The square around the centre of the box, shifted into the picture; its side is at most the shorter side.
    """
    x, y, width, height = box
    wanted = max(width, height) * (1 + 2 * margin)
    side = max(1, min(round(wanted), *size))
    left, upper = round(x + (width - side) / 2), round(y + (height - side) / 2)
    return min(max(left, 0), size[0] - side), min(max(upper, 0), size[1] - side), side, side
