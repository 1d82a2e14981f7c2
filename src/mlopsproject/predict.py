"""Score pictures: `python -m mlopsproject.predict bundle=URI input=FOLDER|FILE|LIST|URL output=predictions.csv`.

A video or an animated picture is scored frame by frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import require, run_job, values
from mlopsproject.core.batch_scoring import score
from mlopsproject.core.checks import check_choice, check_whole
from mlopsproject.core.clip_scoring import ClipOptions, score_clip
from mlopsproject.core.clips import is_clip
from mlopsproject.core.face_inputs import FACES_WANTED
from mlopsproject.core.faces import FaceFinder
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.score_output import ScoringResult


def summary(result: ScoringResult) -> Table:
    """What a scoring run found: faces per label, uncertain ones, missed faces, and what could not be used."""
    table = Table(title=f"{result.scored:,} {result.unit} scored in {result.seconds:.1f} s")
    table.add_column("label")
    table.add_column("faces", justify="right")
    for label, count in result.labels.most_common():
        table.add_row(label, f"{count:,}")
    table.add_section()
    table.add_row("of these uncertain", f"{result.uncertain:,}")
    if result.missed:
        table.add_row(f"[red]{result.unit} without a face found", f"{result.missed:,}")
    for reason, count in result.reasons.most_common():
        table.add_row(f"[red]{result.unit} not scored: {reason}", f"{count:,}")
    return table


def predict(config: DictConfig) -> ScoringResult:
    """Score as the config says and print a summary."""
    settings = values(config)
    check_whole("threads", settings["threads"], lowest=1)
    source = str(require(settings, "input"))
    predictor = Predictor.load(
        settings["bundle"],
        precision=settings["precision"],
        store=settings["store"]["uri"],
        threads=settings["threads"],
    )
    result = _score(source, predictor, settings)
    console = Console()
    console.print(summary(result))
    console.print(f"Predictions by {predictor.model_version}: {result.output}", soft_wrap=True, markup=False)
    if result.errors:
        console.print(f"What could not be used: {result.errors}", soft_wrap=True, markup=False)
    return result


def _score(source: str, predictor: Predictor, settings: dict[str, Any]) -> ScoringResult:
    common = {key: settings[key] for key in ("batch_size", "workers", "progress")}
    output = Path(settings["output"])
    if is_clip(source):
        options = ClipOptions(**settings["video"])
        finder = _finder(options.faces, "video.faces", settings)
        return score_clip(Path(source), predictor, output, options, finder=finder, **common)
    faces = settings["faces"]
    return score(source, predictor, output, faces=faces, finder=_finder(faces, "faces", settings), **common)


def _finder(faces: str, key: str, settings: dict[str, Any]) -> FaceFinder | None:
    check_choice(key, faces, FACES_WANTED)
    return None if faces == "none" else FaceFinder(settings["face_model"])


def main() -> None:
    """Run from the command line."""
    run_job("predict", predict)


if __name__ == "__main__":
    main()
