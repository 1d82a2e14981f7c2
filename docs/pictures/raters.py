"""A plot of what raters say of FER2013; needs the data set ferplus."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mlopsproject.core.classes import SEVEN
from mlopsproject.data.facts import dataset_facts
from mlopsproject.evaluation.plots import draw_shares
from mlopsproject.evaluation.style import figure


def show_disagreement(picture: Path, _: Path) -> None:
    """What most raters say of FER2013's pictures, by FER2013's own label.

    Args:
        picture: to write.
    """
    raters = dataset_facts("ferplus")["raters"]
    columns = [*SEVEN, "no majority", "other"]
    shares = np.zeros((len(SEVEN), len(columns)))
    for name, row in raters["confusion"].items():
        for said, images in row.items():
            shares[SEVEN.index(name), columns.index(said if said in columns else "other")] += images
    shares /= shares.sum(axis=1, keepdims=True)
    same = raters["given_is_majority"] / raters["images"]
    subtitle = f"{raters['images']:,} pictures of ten raters; {same:.0%} have the label that most raters gave them"
    with figure(picture, (8.4, 6.2), "FER2013's labels and its raters", subtitle) as canvas:
        axes = canvas.subplots()

        def text(row: int, column: int) -> str:
            return f"{shares[row, column]:.0%}" if shares[row, column] >= 0.005 else ""

        draw_shares(axes, shares, SEVEN, columns, text)
        axes.set_xlabel("what most raters said")
        axes.set_ylabel("FER2013's label")
