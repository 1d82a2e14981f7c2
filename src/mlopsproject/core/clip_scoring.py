"""Scoring a video or animated picture frame by frame, with probabilities smoothed over time."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.batch_scoring import answer_cells
from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.clips import Clip, Frame, open_clip
from mlopsproject.core.errors import ImageError, printable
from mlopsproject.core.face_inputs import FACES_WANTED, FaceInputs, FacesWanted, face_inputs
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.schemas import Box
from mlopsproject.core.score_output import (
    BOX_COLUMNS,
    ScoreOutput,
    ScoringResult,
    check_output,
    open_output,
    progress_bar,
)
from mlopsproject.core.tables import Row
from mlopsproject.core.tracks import Track, Tracker

#: Frames in which faces are detected ahead of the network, besides one per thread.
_AHEAD: Final = 2


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is scored.

    Attributes:
        every: score every n-th frame.
        faces: `largest`, `all`, or `none` to score each frame as one face.
        smoothing: time constant of the exponential moving average in seconds; 0 turns it off.
    """

    every: int = 1
    faces: FacesWanted = "largest"
    smoothing: float = 0.5

    def check(self) -> None:
        """Validate the options.

        Raises:
            ConfigError: for a number out of range, or an unknown value of `faces`.
        """
        check_whole("video.every", self.every, lowest=1)
        check_choice("video.faces", self.faces, FACES_WANTED)
        check_number("video.smoothing", self.smoothing)


@dataclass(frozen=True, slots=True)
class _FrameFace:
    """Content of one row of the table: a face of a frame, or a frame without one."""

    frame: int
    time: float
    track: Track | None = None
    box: Box | None = None
    inputs: NDArray[np.uint8] | None = None


def score_clip(
    source: Path,
    predictor: Predictor,
    output: Path,
    options: ClipOptions,
    *,
    finder: FaceFinder | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = True,
) -> ScoringResult:
    """Score the faces of a clip into a table, in constant memory.

    The table has a row for each face of each frame: `frame` (from 0) and `time_s`, `face` (number of the face's track,
    see `tracks`), its box `x, y, w, h` in pixels, `label, confidence, uncertain, p_<class>…`, then `smoothed_label`
    and `smoothed_p_<class>…`, and `model_version`. A frame without a detected face has one row with empty cells.
    For a truncated file, `<output>.errors.csv` says how many frames could be read.

    Args:
        source: a file that `clips.is_clip` recognises.
        predictor: the model.
        output: a `.csv` or `.parquet` file.
        options: which frames and faces, and how they are smoothed.
        finder: face detector; by default OpenCV's Haar cascade.
        batch_size: faces per inference.
        workers: threads that detect faces; by default one per CPU, at most eight.
        progress: show a progress bar on the terminal.

    Returns:
        Counts of frames, except for `labels` and `uncertain`, which count faces.

    Raises:
        DataError: if no frame can be read.
        ConfigError: for an option or output path that is not possible.
        UserError: for a full disk or a folder that cannot be written.
    """
    check_output(source, output)
    options.check()
    check_whole("batch_size", batch_size, lowest=1)
    check_whole("workers", workers, lowest=1, optional=True)
    if options.faces != "none" and finder is None:
        finder = FaceFinder()
    clip = open_clip(source)
    kinds = _columns(predictor.spec.classes)
    with (
        open_output(source, output, list(kinds), kinds, "frames") as tables,
        progress_bar(clip.announced, shown=progress) as move,
    ):
        rows = _detect_faces(clip, predictor, options, finder, workers, tables)
        for batch in iter(lambda: list(itertools.islice(rows, batch_size)), []):
            _score_rows(batch, predictor, options, tables)
            move(batch[-1].frame + 1)
    return tables.result


def _columns(classes: tuple[str, ...]) -> dict[str, type]:
    return {
        "frame": int,
        "time_s": float,
        "face": int,
        **dict.fromkeys(BOX_COLUMNS, int),
        "label": str,
        "confidence": float,
        "uncertain": bool,
        **{f"p_{name}": float for name in classes},
        "smoothed_label": str,
        **{f"smoothed_p_{name}": float for name in classes},
        "model_version": str,
    }


def _detect_faces(
    clip: Clip,
    predictor: Predictor,
    options: ClipOptions,
    finder: FaceFinder | None,
    workers: int | None,
    tables: ScoreOutput,
) -> Iterator[_FrameFace]:
    """Detect faces in threads, a few frames ahead, and yield them in order."""
    threads = workers or min(os.cpu_count() or 1, 8)
    tracker = Tracker()
    waiting: deque[tuple[Frame, Future[FaceInputs]]] = deque()
    frames = _readable_frames(clip, options.every, tables)
    with ThreadPoolExecutor(threads, thread_name_prefix="faces") as pool:
        for frame in itertools.chain(frames, itertools.repeat(None)):
            if frame is not None:
                job = pool.submit(face_inputs, frame.image, options.faces, predictor.spec.input, finder)
                waiting.append((frame, job))
                if len(waiting) < threads + _AHEAD:
                    continue
            if not waiting:
                break
            oldest, job = waiting.popleft()
            yield from _faces_of(oldest, job.result(), tracker, tables.result)


def _readable_frames(clip: Clip, every: int, tables: ScoreOutput) -> Iterator[Frame]:
    """The frames that can be read; an error that ends the clip early is added to the table of errors."""
    given = 0
    try:
        for frame in clip.frames(every):
            given += 1
            yield frame
    except ImageError as error:
        # Of a file that does not announce its number of frames, at least one is missing.
        wanted = given + 1 if clip.announced is None else -(-clip.announced // every)
        tables.fail(printable(str(clip.path)), error, max(wanted - given, 0))


def _faces_of(frame: Frame, found: FaceInputs, tracker: Tracker, result: ScoringResult) -> Iterator[_FrameFace]:
    result.scored += 1
    if found.search == "not_found":
        result.missed += 1
        yield _FrameFace(frame.index, frame.time)
        return
    tracks = tracker.follow(found.boxes, frame.time)
    for track, box, inputs in zip(tracks, found.boxes, found.inputs, strict=True):
        yield _FrameFace(frame.index, frame.time, track, box, inputs)


def _score_rows(batch: list[_FrameFace], predictor: Predictor, options: ClipOptions, tables: ScoreOutput) -> None:
    inputs = [face.inputs for face in batch if face.inputs is not None]
    predictions = predictor.predict_inputs(np.stack(inputs)) if inputs else []
    answers = iter(predictions)
    classes = predictor.spec.classes
    unanswered = (None,) * (len(_columns(classes)) - 3)
    rows: list[Row] = []
    for face in batch:
        start = (face.frame, round(face.time, 6))
        if face.track is None:
            rows.append((*start, *unanswered, predictor.model_version))
            continue
        answer = next(answers)
        *cells, version = answer_cells(answer)
        values = np.fromiter(answer.probabilities.values(), np.float64)
        smooth = face.track.smooth(values, face.time, options.smoothing)
        box = face.box or (None,) * len(BOX_COLUMNS)
        steady = (classes[int(smooth.argmax())], *smooth.tolist())
        rows.append((*start, face.track.number, *box, *cells, *steady, version))
    tables.write(rows, predictions)
