"""Bring a data set to a network's input: `python -m mlopsproject.preprocess data.name=N data.size=48`."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from mlopsproject.config import run_job, values
from mlopsproject.core.classes import resolve_classes
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import input_spec, open_dataset


def preprocess(config: DictConfig) -> FaceDataset:
    """Import the data set if it is a folder, make or check its cache of pictures, and print the images of each split.

    Raises:
        UserError: a missing or damaged data set, or one that lacks a class in a split, so that no training can start.
    """
    settings = values(config)
    spec, classes = input_spec(settings["data"]), resolve_classes(settings["classes"])
    dataset = open_dataset(settings["data"], spec, classes=classes)
    console = Console()
    console.print(_summary(dataset))
    size = f"{spec.size} x {spec.size} pixels, {spec.channels} channel{'s' if spec.channels > 1 else ''}"
    console.print(f"Cache: {len(dataset.images):,} pictures of {size}, {spec.resize_filter}", soft_wrap=True)
    return dataset


def _summary(dataset: FaceDataset) -> Table:
    table = Table(title=dataset.name)
    table.add_column("class")
    for split in dataset.splits:
        table.add_column(split, justify="right")
    for number, label in enumerate(dataset.classes):
        counts = ((dataset.labels[rows] == number).sum() for rows in dataset.splits.values())
        table.add_row(label, *(f"{count:,}" for count in counts))
    return table


def main() -> None:
    """Run from the command line."""
    run_job("preprocess", preprocess)


if __name__ == "__main__":
    main()
