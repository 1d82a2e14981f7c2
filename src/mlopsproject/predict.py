"""Score pictures: `python -m mlopsproject.predict bundle=URI input=FOLDER|FILE|LIST|URL output=predictions.csv`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import require, run_job, values
from mlopsproject.core.batch_scoring import ScoringResult, score
from mlopsproject.core.checks import check_whole
from mlopsproject.core.predictor import Predictor


def summary(result: ScoringResult) -> Table:
    """What a scoring run found: pictures per label, uncertain ones, and those that could not be used."""
    table = Table(title=f"{result.scored:,} pictures scored in {result.seconds:.1f} s")
    table.add_column("label")
    table.add_column("pictures", justify="right")
    for label, count in result.labels.most_common():
        table.add_row(label, f"{count:,}")
    table.add_section()
    table.add_row("of these uncertain", f"{result.uncertain:,}")
    for reason, count in result.reasons.most_common():
        table.add_row(f"[red]not scored: {reason}", f"{count:,}")
    return table


def predict(config: DictConfig) -> ScoringResult:
    """Score as the config says and print a summary."""
    settings = values(config)
    check_whole("threads", settings["threads"], lowest=1)
    pictures = str(require(settings, "input"))
    predictor = Predictor.load(
        settings["bundle"],
        precision=settings["precision"],
        store=settings["store"]["uri"],
        threads=settings["threads"],
    )
    result = score(
        pictures,
        predictor,
        Path(settings["output"]),
        batch_size=settings["batch_size"],
        workers=settings["workers"],
        progress=settings["progress"],
    )
    console = Console()
    console.print(summary(result))
    console.print(f"Predictions by {predictor.model_version}: {result.output}", soft_wrap=True, markup=False)
    if result.errors:
        console.print(f"Pictures that could not be used: {result.errors}", soft_wrap=True, markup=False)
    return result


def main() -> None:
    """Run from the command line."""
    run_job("predict", predict)


if __name__ == "__main__":
    main()
