"""Plots of what raters say of FER2013 and how bundles fare by either truth; of the data sets ferplus and press."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from mlopsproject.core.classes import SEVEN
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.dataset import load_dataset
from mlopsproject.data.facts import dataset_facts
from mlopsproject.data.votes import LabelRule
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.plots import draw_shares
from mlopsproject.evaluation.style import BLUE, MUTED, ORANGE, figure

#: Each new bundle beside the one that knows FER2013's own labels.
PAIRS: Final = (("fer2013-seven", "seven"), ("fer2013-five", "production"))
#: What is measured: data set, split, labels, and how it is called.
TRUTHS: Final = (
    ("ferplus", "test", "majority", "raters' majority"),
    ("ferplus", "test", "given", "FER2013's labels"),
    ("press", "all", "given", "press photographs"),
)


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


def show_two_truths(picture: Path, _: Path) -> None:
    """Recall per class of each new bundle and the one before, by the raters, by FER2013's labels, and on press faces.

    Args:
        picture: to write.
    """
    title, subtitle = "What the new bundles gain, and by which truth", "recall per class; a line joins old and new"
    with figure(picture, (10.0, 7.4), title, subtitle) as canvas:
        every = canvas.subplots(len(PAIRS), len(TRUTHS), sharex=True)
        for line, (old, new) in zip(every, PAIRS, strict=True):
            for axes, (data, split, labels, called) in zip(line, TRUTHS, strict=True):
                before, after = _metrics(old, data, split, labels), _metrics(new, data, split, labels)
                names = list(after["per_class"])[::-1]
                for place, name in enumerate(names):
                    recalls = [found["per_class"][name]["recall"] or 0.0 for found in (before, after)]
                    axes.plot(recalls, [place, place], color=MUTED, linewidth=1.2, zorder=1)
                    axes.scatter(recalls[:1], [place], color=ORANGE, zorder=2, label=old if not place else None)
                    axes.scatter(recalls[1:], [place], color=BLUE, zorder=3, label=new if not place else None)
                axes.set_yticks(range(len(names)), names if axes is line[0] else [""] * len(names))
                axes.set_xlim(-0.03, 1.03)
                axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
                axes.set_title(f"{called}: {before['accuracy']:.0%} → {after['accuracy']:.0%}")
            line[0].legend(loc="lower left", fontsize=8)


def _metrics(bundle: str, data: str, split: str, labels: str) -> dict[str, Any]:
    predictor = Predictor.load(bundle)
    spec = predictor.spec
    dataset = load_dataset(
        data,
        classes=spec.classes,
        size=spec.input.size,
        channels=spec.input.channels,
        resize_filter=spec.input.resize_filter,
        rule=LabelRule(labels),
        complete=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        return evaluate_bundle(
            predictor, dataset, split, Path(folder), bootstrap_samples=0, plots=False, progress=False
        )
