"""Scoring a video or an animated picture frame by frame, with probabilities smoothed over time."""

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

#: Frames in which faces are searched ahead of the network.
_AHEAD: Final = 2


@dataclass(frozen=True)
class ClipOptions:
    """How a clip is scored.

    Attributes:
        every: every n-th frame is scored.
        faces: `largest`, `all`, or `none` to take each frame for a face that fills it.
        smoothing: time constant in seconds; 0 does not smooth.
    """

    every: int = 1
    faces: FacesWanted = "largest"
    smoothing: float = 0.5

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: for a number out of range, or another word for `faces`.
        """
        check_whole("video.every", self.every, lowest=1)
        check_choice("video.faces", self.faces, FACES_WANTED)
        check_number("video.smoothing", self.smoothing)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One row to come: a face of a frame, or a frame without one."""

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
    """Score the faces of a clip; memory does not grow with its length.

    The table has a row for each face of each frame: `frame` and `time_s`, `face` (the same number as long as a face
    stays about where it was), its box `x, y, w, h`, `label, confidence, uncertain, p_<class>…`, then `smoothed_label`
    and `smoothed_p_<class>…`, and `model_version`. A frame in which no face is found has one row with empty cells.
    When a file breaks off, `<output>.errors.csv` says after how many frames.

    Args:
        source: a file that `clips.is_clip` recognises.
        predictor: the model.
        output: a `.csv` or `.parquet` file.
        options: which frames and faces, and how they are smoothed.
        finder: searches; by default OpenCV's Haar cascade.
        batch_size: faces per inference.
        workers: threads that search; by default one per CPU, at most eight.
        progress: show a progress bar on the terminal.

    Returns:
        Its counts are of frames; `labels` and `uncertain` are of faces.

    Raises:
        DataError: if no frame can be read.
        ConfigError: for options that cannot be.
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
        rows = _seen(clip, predictor, options, finder, workers, tables)
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


def _seen(
    clip: Clip,
    predictor: Predictor,
    options: ClipOptions,
    finder: FaceFinder | None,
    workers: int | None,
    tables: ScoreOutput,
) -> Iterator[_Seen]:
    """Search the frames in threads, a few ahead, and give their faces in order; then list what is missing."""
    threads = workers or min(os.cpu_count() or 1, 8)
    tracker = Tracker()
    waiting: deque[tuple[Frame, Future[FaceInputs]]] = deque()
    frames = _until_broken(clip, options.every, tables)
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


def _until_broken(clip: Clip, every: int, tables: ScoreOutput) -> Iterator[Frame]:
    """The frames that can be read; what ends a clip early goes to the table of errors."""
    given = 0
    try:
        for frame in clip.frames(every):
            given += 1
            yield frame
    except ImageError as error:
        # Of a file that does not say how many frames it has, one is known to be missing.
        wanted = given + 1 if clip.announced is None else -(-clip.announced // every)
        tables.fail(printable(str(clip.path)), error, max(wanted - given, 0))


def _faces_of(frame: Frame, found: FaceInputs, tracker: Tracker, result: ScoringResult) -> Iterator[_Seen]:
    result.scored += 1
    if found.search == "not_found":
        result.missed += 1
        yield _Seen(frame.index, frame.time)
        return
    tracks = tracker.follow(found.boxes, frame.time)
    for track, box, inputs in zip(tracks, found.boxes, found.inputs, strict=True):
        yield _Seen(frame.index, frame.time, track, box, inputs)


def _score_rows(batch: list[_Seen], predictor: Predictor, options: ClipOptions, tables: ScoreOutput) -> None:
    inputs = [seen.inputs for seen in batch if seen.inputs is not None]
    predictions = predictor.predict_inputs(np.stack(inputs)) if inputs else []
    answers = iter(predictions)
    classes = predictor.spec.classes
    unanswered = (None,) * (len(_columns(classes)) - 3)
    rows: list[Row] = []
    for seen in batch:
        start = (seen.frame, round(seen.time, 6))
        if seen.track is None:
            rows.append((*start, *unanswered, predictor.model_version))
            continue
        answer = next(answers)
        *cells, version = answer_cells(answer)
        values = np.fromiter(answer.probabilities.values(), np.float64)
        smooth = seen.track.smooth(values, seen.time, options.smoothing)
        box = seen.box or (None,) * len(BOX_COLUMNS)
        steady = (classes[int(smooth.argmax())], *smooth.tolist())
        rows.append((*start, seen.track.number, *box, *cells, *steady, version))
    tables.write(rows, predictions)
