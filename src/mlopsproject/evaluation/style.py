"""Matplotlib style of all figures: fonts, axes, titles and the colour-blind-safe palette of Okabe and Ito."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#1F2933"
#: Yellow last: it is hard to read as a line on white.
PALETTE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, YELLOW)
INK, MUTED, GRID = "#1F2933", "#66727F", "#E4E7EB"
SEQUENTIAL = "Blues"
#: One colour per split, the same in every figure and page.
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "figure.facecolor": "white",
    "savefig.dpi": 144,
}


@contextmanager
def figure(path: Path, size: tuple[float, float], title: str, subtitle: str = "") -> Iterator[Figure]:
    """Open a titled figure and save it as PNG at the end.

    Args:
        path: of the PNG; its folder is created if needed.
        size: width and height in inches (144 pixels each), title included.
        title: what is shown.
        subtitle: how to read it, or the main number.
    """
    with mpl.rc_context(_STYLE):
        # The titles have a fixed height in inches.
        top = 1 - (0.66 if subtitle else 0.42) / size[1]
        canvas = Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0, 1, top)))
        canvas.text(0.012, 1 - 0.10 / size[1], title, fontsize=13, fontweight="bold", va="top")
        canvas.text(0.012, 1 - 0.40 / size[1], subtitle, fontsize=9.5, color=MUTED, va="top")
        yield canvas
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without Matplotlib's version, so that the file is reproducible.
        canvas.savefig(path, metadata={"Software": None})
