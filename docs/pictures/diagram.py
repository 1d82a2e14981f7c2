"""The diagram of the architecture: rooms, and what goes from one to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mlopsproject.evaluation.style import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE

#: Name, what is in it, middle of the box, colour.
_BOXES: Final = (
    ("Faces", "folder, archive,\nCSV, Kaggle, DVC", (1, 5), MUTED),
    ("Manifest", "class, hash, twins,\nsplit, cache", (3.6, 5), BLUE),
    ("Checkpoint", "Lightning, Hydra:\nthe only room with torch", (6.2, 5), ORANGE),
    ("BUNDLE", "ONNX, spec, metrics,\nreference, model card", (8.8, 5), INK),
    ("Store", "folder, gs://, s3://\nbundles, aliases,\ndrift reports", (8.8, 2.9), INK),
    ("Evaluation", "metrics, reports,\ncomparison, batches", (8.8, 0.8), GREEN),
    ("API", "FastAPI: answers,\nexplains, measures", (6.2, 2.9), GREEN),
    ("Frontend", "Streamlit:\npeople's pages", (6.2, 0.8), GREEN),
    ("Prediction log", "SQLite on disk,\nPostgreSQL", (3.6, 0.8), PURPLE),
    ("Drift and decay", "against the bundle's\nreference", (3.6, 2.9), PURPLE),
    ("Retraining", "learns new faces;\npromotes if better", (1, 2.9), ORANGE),
)
#: From, to, label.
_ARROWS: Final = (
    ("Faces", "Manifest", "import"),
    ("Manifest", "Checkpoint", "train"),
    ("Checkpoint", "BUNDLE", "export"),
    ("BUNDLE", "Store", "publish, promote"),
    ("Store", "Evaluation", ""),
    ("Store", "API", "alias"),
    ("Frontend", "API", "HTTP"),
    ("API", "Prediction log", ""),
    ("Prediction log", "Drift and decay", ""),
    ("Drift and decay", "Retraining", "verdict"),
    ("Retraining", "Manifest", "merge"),
)
_WIDTH, _HEIGHT = 2.1, 1.3


def draw_architecture(picture: Path, _: Path) -> None:
    """Draw the rooms and their arrows.

    Args:
        picture: to write.
    """
    # Text stays text; a fixed salt, so that what has not changed is drawn as the same file.
    with mpl.rc_context({"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "architecture"}):
        figure = Figure(figsize=(10, 5.6), facecolor="white", layout="tight")
        axes = figure.add_subplot()
        axes.set(xlim=(-0.2, 10), ylim=(0, 5.8), aspect="equal")
        axes.axis("off")
        places = {name: middle for name, _, middle, _ in _BOXES}
        for start, end, label in _ARROWS:
            _arrow(axes, places[start], places[end], label)
        for name, inside, middle, colour in _BOXES:
            _box(axes, name, inside, middle, colour)
        figure.savefig(picture, metadata={"Date": None})


def _box(axes: Axes, name: str, inside: str, middle: tuple[float, float], colour: str) -> None:
    corner = (middle[0] - _WIDTH / 2, middle[1] - _HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.12"
    axes.add_patch(FancyBboxPatch(corner, _WIDTH, _HEIGHT, style, facecolor="white", edgecolor=colour, linewidth=2))
    axes.text(middle[0], middle[1] + 0.36, name, ha="center", va="center", fontweight="bold", color=colour, fontsize=11)
    axes.text(middle[0], middle[1] - 0.18, inside, ha="center", va="center", color=INK, fontsize=8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    gaps = {"posA": _edge(start, end), "posB": _edge(end, start)}
    axes.add_patch(FancyArrowPatch(**gaps, arrowstyle="-|>", mutation_scale=12, color=MUTED, linewidth=1.4))
    middle = [(first + last) / 2 for first, last in zip(gaps["posA"], gaps["posB"], strict=True)]
    sideways = start[1] == end[1]
    place = (middle[0], middle[1] + 0.1) if sideways else (middle[0] + 0.1, middle[1])
    axes.text(
        *place,
        label,
        fontsize=7.5,
        color=MUTED,
        ha="center" if sideways else "left",
        va="bottom" if sideways else "center",
    )


def _edge(box: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Where the line between two boxes leaves the first."""
    across, up = other[0] - box[0], other[1] - box[1]
    scale = min(_WIDTH / 2 / abs(across) if across else 9, _HEIGHT / 2 / abs(up) if up else 9)
    return box[0] + across * scale, box[1] + up * scale
