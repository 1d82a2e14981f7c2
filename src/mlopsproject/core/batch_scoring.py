"""Batch scoring: streams the pictures of a source through the Predictor into one table."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlopsproject.core.cheap_pictures import cheap_content
from mlopsproject.core.checks import check_choice, check_whole
from mlopsproject.core.errors import DataError, ImageError
from mlopsproject.core.face_inputs import FACES_WANTED, FaceInputs, FacesWanted, face_inputs
from mlopsproject.core.faces import FaceFinder, face_finder
from mlopsproject.core.helpers import WIDE, Helpers
from mlopsproject.core.picture_sources import Entry, find_pictures
from mlopsproject.core.predictor import Prediction, Predictor
from mlopsproject.core.preprocess import MIN_JPEG_SIDE, decode_image
from mlopsproject.core.score_output import (
    BOX_COLUMNS,
    ScoreOutput,
    ScoringResult,
    check_output,
    error_file,
    open_output,
    progress_bar,
)
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.tables import Row

#: Batches that are decoded ahead of the network, besides one per thread.
_AHEAD: Final = 4

#: The pictures of a batch, each with its network inputs or the reason why it cannot be used.
Decoded = list[tuple[Entry, FaceInputs | ImageError]]
_Read = Callable[[bytes | Path], FaceInputs]


def score(
    source: str | Path,
    predictor: Predictor,
    output: Path,
    *,
    faces: FacesWanted = "none",
    finder: FaceFinder | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = True,
) -> ScoringResult:
    """Score every picture of a source into a table, in constant memory.

    The table has the columns `path, label, confidence, uncertain, p_<class>…, model_version`, in the order of the
    source. With `faces` other than `none` there are a row for each face and the columns `face_search` and `x, y, w, h`
    (the face's box in pixels of the upright picture); a picture without a detected face is scored as a whole, with
    `face_search` `not_found`. Pictures that cannot be used are listed in `<output>.errors.csv` (`path, reason,
    detail`). Both tables are written under temporary names and replace older ones when complete.

    Args:
        source: a picture, a folder, a `.txt` or `.csv` list, or a URL; see `picture_sources.find_pictures`.
        predictor: the model.
        output: a `.csv` or `.parquet` file.
        faces: `none` scores each picture as one face; `largest` and `all` detect faces.
        finder: face detector; by default OpenCV's Haar cascade.
        batch_size: pictures per inference.
        workers: decoding threads, and as many helper processes; by default one per CPU, at most eight.
        progress: show a progress bar on the terminal.

    Raises:
        DataError: if there is no picture at all, or none that can be used.
        ConfigError: if `output` is neither CSV nor Parquet, or is a folder or the source itself; for a number below 1
            or an unknown value of `faces`.
        UserError: for a full disk or a folder that cannot be written.
    """
    check_output(source, output)
    own = {output.resolve(), error_file(output).resolve()}
    batches = read_faces(
        partial(_entries, source, own),
        predictor.spec.input,
        faces=faces,
        finder=finder,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    where = [] if faces == "none" else ["face_search", *BOX_COLUMNS]
    probabilities = [f"p_{name}" for name in predictor.spec.classes]
    columns = ["path", *where, "label", "confidence", "uncertain", *probabilities, "model_version"]
    with open_output(source, output, columns, dict.fromkeys(BOX_COLUMNS, int)) as tables:
        for batch in batches:
            _score_batch(batch, predictor, tables, batch_size, with_boxes=faces != "none")
    return tables.result


def read_faces(
    entries: Callable[[], Iterator[Entry]],
    spec: InputSpec,
    *,
    faces: FacesWanted = "none",
    finder: FaceFinder | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = True,
) -> Iterator[Decoded]:
    """Decode pictures and crop their faces, in batches and in order; costly pictures are decoded in helper processes.

    Args:
        entries: returns a new iterator over the pictures; called twice if `progress`.
        spec: the network's input.
        faces: `none` takes each picture as one face; `largest` and `all` detect faces.
        finder: face detector; by default OpenCV's Haar cascade.
        batch_size: pictures per batch.
        workers: decoding threads, and as many helper processes; by default one per CPU, at most eight.
        progress: show a progress bar on the terminal.

    Raises:
        ConfigError: for a number below 1 or an unknown value of `faces`.
    """
    check_choice("faces", faces, FACES_WANTED)
    check_whole("batch_size", batch_size, lowest=1)
    check_whole("workers", workers, lowest=1, optional=True)
    found = (finder.model, finder.max_side, finder.min_share) if finder else (None,)
    if faces != "none":
        # Raises the errors of a face model here instead of for every picture.
        face_finder(*found)
    read = partial(_read, spec=spec, faces=faces, finder=found)
    return _batches(entries, read, batch_size, workers, progress)


def _entries(source: str | Path, own: set[Path]) -> Iterator[Entry]:
    """The pictures of a source, without the output tables of an earlier run in the same folder."""
    names = {path.name for path in own}
    for entry in find_pictures(source):
        place = entry.location
        if not (isinstance(place, Path) and place.name in names and place.resolve() in own):
            yield entry


def _score_batch(
    batch: Decoded, predictor: Predictor, tables: ScoreOutput, batch_size: int, *, with_boxes: bool
) -> None:
    good = [(entry, found) for entry, found in batch if isinstance(found, FaceInputs)]
    if good:
        inputs = np.concatenate([found.inputs for _, found in good])
        predictions = predictor.predict_inputs(inputs, batch_size=batch_size)
        answers = iter(predictions)
        rows: list[Row] = []
        for entry, found in good:
            for box in found.boxes:
                where = (found.search, *(box or (None,) * len(BOX_COLUMNS))) if with_boxes else ()
                rows.append((entry.name, *where, *answer_cells(next(answers))))
        tables.write(rows, predictions)
        tables.result.scored += len(good)
        tables.result.missed += sum(found.search == "not_found" for _, found in good)
    for entry, error in batch:
        if isinstance(error, ImageError):
            tables.fail(entry.name, error)


def answer_cells(found: Prediction) -> Row:
    """Table cells of a prediction: label, confidence, uncertain, the probability of each class, and model version."""
    return found.label, found.confidence, found.uncertain, *found.probabilities.values(), found.model_version


def _batches(
    entries: Callable[[], Iterator[Entry]], read: _Read, batch_size: int, workers: int | None, progress: bool
) -> Iterator[Decoded]:
    """Decode in threads, a few batches ahead; the progress bar advances when a batch has been consumed."""
    threads = workers or min(os.cpu_count() or 1, 8)
    # The progress bar needs the total for its time estimate; counting takes a second per million files.
    total = sum(1 for _ in entries()) if progress else None
    waiting: deque[Future[Decoded]] = deque()
    done = 0
    helpers = Helpers(threads, WIDE)
    with (
        closing(helpers),
        progress_bar(total, shown=progress) as move,
        ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool,
    ):
        for chunk in itertools.chain(_chunks(entries(), batch_size), itertools.repeat(None)):
            if chunk is not None:
                waiting.append(pool.submit(_decode, chunk, read, helpers))
                if len(waiting) < threads + _AHEAD:
                    continue
            if not waiting:
                break
            batch = waiting.popleft().result()
            yield batch
            done += len(batch)
            move(done)


def _chunks(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    iterator = iter(entries)
    yield from iter(lambda: list(itertools.islice(iterator, size)), [])


def _decode(entries: list[Entry], read: _Read, helpers: Helpers) -> Decoded:
    return [(entry, _load(entry, read, helpers)) for entry in entries]


def _load(entry: Entry, read: _Read, helpers: Helpers) -> FaceInputs | ImageError:
    try:
        source = entry.read()
        cheap = cheap_content(source)
        return read(cheap) if cheap is not None else helpers.run(read, source)
    except ImageError as error:
        return error
    except BrokenProcessPool as error:
        raise DataError("No process that decodes pictures can be started.", "Free some memory.") from error


def _read(source: bytes | Path, spec: InputSpec, faces: FacesWanted, finder: tuple[Any, ...]) -> FaceInputs:
    """Decode a picture and crop its faces; runs in this process or in a helper process."""
    image = decode_image(source, min_jpeg_side=max(MIN_JPEG_SIDE, spec.size))
    return face_inputs(image, faces, spec, None if faces == "none" else face_finder(*finder))
