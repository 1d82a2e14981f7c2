"""Output of a scoring run: a table of predictions, a table of pictures that cannot be used, and counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mlopsproject.core.errors import ConfigError, DataError, ImageError
from mlopsproject.core.files import staging_folder, sync
from mlopsproject.core.predictor import Prediction
from mlopsproject.core.tables import Row, TableWriter, check_suffix, open_table

ERROR_COLUMNS: Final = ["path", "reason", "detail"]
#: Box of a face, in pixels of the upright picture; empty cells for a whole picture.
BOX_COLUMNS: Final = ["x", "y", "w", "h"]


@dataclass
class ScoringResult:
    """Summary of a scoring run.

    Attributes:
        output: the table of predictions.
        unit: what was scored, `pictures` or `frames`.
        scored: how many could be used.
        failed: how many could not.
        missed: of those scored, how many without a detected face.
        errors: the table of those that could not be used; ``None`` if there are none.
        uncertain: rows below the abstain threshold.
        labels: rows per label.
        reasons: failures per reason.
        seconds: wall time.
    """

    output: Path
    unit: str = "pictures"
    scored: int = 0
    failed: int = 0
    missed: int = 0
    errors: Path | None = None
    uncertain: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass
class ScoreOutput:
    """The tables of a running job.

    Attributes:
        table: of predictions.
        error_table: of pictures or frames that cannot be used.
        result: counts so far.
    """

    table: TableWriter
    error_table: TableWriter
    result: ScoringResult

    def write(self, rows: list[Row], predictions: list[Prediction]) -> None:
        """Append rows of predictions and count them."""
        self.table.write(rows)
        self.result.uncertain += sum(found.uncertain for found in predictions)
        self.result.labels.update(found.label for found in predictions)

    def fail(self, name: str, error: ImageError, count: int = 1) -> None:
        """Add pictures or frames that cannot be used to the table of errors.

        Args:
            name: of the picture or file.
            error: why.
            count: number of pictures or frames.
        """
        self.error_table.write([(name, error.reason, error.message)])
        self.result.failed += count
        self.result.reasons[error.reason] += count


def check_output(source: str | Path, output: Path) -> None:
    """Check the path of the output before any work.

    Raises:
        ConfigError: if `output` is neither CSV nor Parquet, or is a folder or the source itself.
    """
    check_suffix(output.suffix)
    if Path(source).resolve() == output.resolve():
        raise ConfigError(f"output={output} would overwrite the input.", "Give the output another name.")
    if output.is_dir():
        raise ConfigError(f"output={output} is a folder.", "Give the name of a file.")


def error_file(output: Path) -> Path:
    """Path of the table of pictures that cannot be used."""
    return output.with_name(f"{output.name}.errors.csv")


@contextmanager
def open_output(
    source: str | Path,
    output: Path,
    columns: list[str],
    kinds: Mapping[str, type] | None = None,
    unit: str = "pictures",
) -> Iterator[ScoreOutput]:
    """Open the tables under temporary names; they replace older ones when complete.

    Args:
        source: for error messages.
        output: a `.csv` or `.parquet` file; the table of errors is `<output>.errors.csv` beside it.
        columns: of the table.
        kinds: types of columns, see `tables.open_table`.
        unit: `pictures` or `frames`.

    Raises:
        DataError: at the end, if nothing was scored; an older table of predictions is then kept.
    """
    errors = error_file(output)
    result = ScoringResult(output, unit)
    start = time.perf_counter()
    with staging_folder(output.parent) as place:
        with (
            open_table(place / "scored", columns, output.suffix, kinds) as table,
            open_table(place / "errors", ERROR_COLUMNS, ".csv") as error_table,
        ):
            yield ScoreOutput(table, error_table, result)
        errors.unlink(missing_ok=True)
        if result.failed:
            _replace(place / "errors", errors)
            result.errors = errors
        if not result.scored:
            raise _nothing_scored(source, result)
        _replace(place / "scored", output)
    result.seconds = time.perf_counter() - start


@contextmanager
def progress_bar(total: int | None, *, shown: bool) -> Iterator[Any]:
    """Show a progress bar on stderr; yields a function that takes the number done."""
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    start = time.perf_counter()
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task: TaskID = bar.add_task("Scoring", total=total, rate="")

        def move(done: int) -> None:
            bar.update(task, completed=done, rate=f"{done / (time.perf_counter() - start):,.0f}/s")

        yield move


def _nothing_scored(source: str | Path, result: ScoringResult) -> DataError:
    if not result.failed:
        return DataError(
            f"input={source} holds no {result.unit}.", "Give a picture, a folder, a .txt or .csv list, a URL or a clip."
        )
    reasons = ", ".join(f"{count} {reason}" for reason, count in result.reasons.most_common())
    return DataError(
        f"None of the {result.failed} {result.unit[:-1]}(s) of input={source} can be used ({reasons}).",
        f"See {result.errors}.",
    )


def _replace(finished: Path, target: Path) -> None:
    sync(finished)
    finished.replace(target)
