"""Batch scoring: many pictures through the Predictor into one table, streaming."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import ConfigError, DataError, ImageError
from mlopsproject.core.files import staging_folder, sync
from mlopsproject.core.picture_sources import Entry, find_pictures
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import load_input
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.tables import Row, TableWriter, check_suffix, open_table

ERROR_COLUMNS: Final = ["path", "reason", "detail"]
#: Batches being decoded ahead of the network.
_AHEAD: Final = 4

_Decoded = list[tuple[Entry, NDArray[np.uint8] | ImageError]]


@dataclass
class ScoringResult:
    """What a scoring run did.

    Attributes:
        output: the table of predictions.
        scored: pictures in it.
        failed: pictures that could not be used.
        errors: the table of those, ``None`` when there are none.
        uncertain: scored pictures below the abstain threshold.
        labels: scored pictures per label.
        reasons: failed pictures per reason.
        seconds: wall time.
    """

    output: Path
    scored: int = 0
    failed: int = 0
    errors: Path | None = None
    uncertain: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def score(
    source: str | Path,
    predictor: Predictor,
    output: Path,
    *,
    batch_size: int = 64,
    workers: int | None = None,
    progress: bool = True,
) -> ScoringResult:
    """Score every picture of a source; memory does not grow with their number.

    The table has the columns `path, label, confidence, uncertain, p_<class>…, model_version`, in the order of the
    source. Pictures that cannot be used go to `<output>.errors.csv` (`path, reason, detail`) instead. Both appear when
    they are complete and replace older ones.

    Args:
        source: a picture, a folder, a `.txt` or `.csv` list, or a URL; see `picture_sources.find_pictures`.
        predictor: the model.
        output: a `.csv` or `.parquet` file.
        batch_size: pictures per inference.
        workers: threads that decode; by default one per CPU, at most eight.
        progress: show a progress bar on the terminal.

    Raises:
        DataError: if there is no picture at all, or none that can be used.
        ConfigError: if `output` is neither CSV nor Parquet, or is a folder or the source itself; for a number below 1.
        UserError: for a full disk or a folder that cannot be written.
    """
    errors = output.with_name(f"{output.name}.errors.csv")
    _check(source, output, batch_size, workers)
    result = ScoringResult(output)
    start = time.perf_counter()
    own = {output.resolve(), errors.resolve()}
    with staging_folder(output.parent) as place:
        columns = ["path", "label", "confidence", "uncertain", *(f"p_{name}" for name in predictor.spec.classes)]
        with (
            open_table(place / "scored", [*columns, "model_version"], output.suffix) as table,
            open_table(place / "errors", ERROR_COLUMNS, ".csv") as error_table,
        ):
            for batch in _batches(partial(_entries, source, own), predictor.spec.input, batch_size, workers, progress):
                _score_batch(batch, predictor, table, error_table, result)
        errors.unlink(missing_ok=True)
        if result.failed:
            _replace(place / "errors", errors)
            result.errors = errors
        if not result.scored:
            raise _nothing_scored(source, result)
        _replace(place / "scored", output)
    result.seconds = time.perf_counter() - start
    return result


def _check(source: str | Path, output: Path, batch_size: int, workers: int | None) -> None:
    """Refuse before any work what cannot end well."""
    check_suffix(output.suffix)
    if Path(source).resolve() == output.resolve():
        raise ConfigError(f"output={output} would overwrite the input.", "Give the output another name.")
    if output.is_dir():
        raise ConfigError(f"output={output} is a folder.", "Give the name of a file.")
    check_whole("batch_size", batch_size, lowest=1)
    check_whole("workers", workers, lowest=1, optional=True)


def _entries(source: str | Path, own: set[Path]) -> Iterator[Entry]:
    """The pictures of a source, without the tables that an earlier run left among them."""
    names = {path.name for path in own}
    for entry in find_pictures(source):
        place = entry.location
        if not (isinstance(place, Path) and place.name in names and place.resolve() in own):
            yield entry


def _score_batch(
    batch: _Decoded, predictor: Predictor, table: TableWriter, error_table: TableWriter, result: ScoringResult
) -> None:
    good = [(entry, pixels) for entry, pixels in batch if not isinstance(pixels, ImageError)]
    bad = [(entry, error) for entry, error in batch if isinstance(error, ImageError)]
    if good:
        predictions = predictor.predict_inputs(np.stack([pixels for _, pixels in good]), batch_size=len(good))
        rows: list[Row] = [
            (
                entry.name,
                found.label,
                found.confidence,
                found.uncertain,
                *found.probabilities.values(),
                found.model_version,
            )
            for (entry, _), found in zip(good, predictions, strict=True)
        ]
        table.write(rows)
        result.scored += len(rows)
        result.uncertain += sum(found.uncertain for found in predictions)
        result.labels.update(found.label for found in predictions)
    error_table.write([(entry.name, error.reason, error.message) for entry, error in bad])
    result.failed += len(bad)
    result.reasons.update(error.reason for _, error in bad)


def _batches(
    entries: Callable[[], Iterator[Entry]], spec: InputSpec, batch_size: int, workers: int | None, progress: bool
) -> Iterator[_Decoded]:
    """Decode in threads, a few batches ahead; the bar moves when a batch has been used."""
    threads = workers or min(os.cpu_count() or 1, 8)
    # A count first costs a second per million files and buys an honest estimate of the time left.
    total = sum(1 for _ in entries()) if progress else None
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    waiting: deque[Future[_Decoded]] = deque()
    start, done = time.perf_counter(), 0
    with (
        Progress(*columns, console=Console(stderr=True), disable=not progress) as bar,
        ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool,
    ):
        task = bar.add_task("Scoring", total=total, rate="")
        for chunk in itertools.chain(_chunks(entries(), batch_size), itertools.repeat(None)):
            if chunk is not None:
                waiting.append(pool.submit(_decode, chunk, spec))
                if len(waiting) < threads + _AHEAD:
                    continue
            if not waiting:
                break
            batch = waiting.popleft().result()
            yield batch
            done += len(batch)
            bar.update(task, completed=done, rate=f"{done / (time.perf_counter() - start):,.0f}/s")


def _chunks(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    iterator = iter(entries)
    yield from iter(lambda: list(itertools.islice(iterator, size)), [])


def _decode(entries: list[Entry], spec: InputSpec) -> _Decoded:
    return [(entry, _load(entry, spec)) for entry in entries]


def _load(entry: Entry, spec: InputSpec) -> NDArray[np.uint8] | ImageError:
    try:
        return load_input(entry.read(), spec)
    except ImageError as error:
        return error


def _nothing_scored(source: str | Path, result: ScoringResult) -> DataError:
    if not result.failed:
        return DataError(
            f"input={source} holds no pictures.", "Give a picture, a folder, a .txt or .csv list, or a URL."
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in result.reasons.most_common())
    return DataError(
        f"None of the {result.failed} picture(s) of input={source} can be used ({reasons}).", f"See {result.errors}."
    )


def _replace(finished: Path, target: Path) -> None:
    sync(finished)
    finished.replace(target)
