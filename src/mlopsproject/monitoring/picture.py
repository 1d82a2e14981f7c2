"""Summary plot of a drift report: distance of every column, distributions of the most drifted ones, and faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from mlopsproject.core.schemas import ColumnDrift, DriftReport
from mlopsproject.evaluation.style import BLUE, INK, MUTED, ORANGE, RED, figure

#: Distributions that are drawn, and faces of each side.
SHOWN_COLUMNS: Final = 4
SHOWN_FACES: Final = 16
_BINS: Final = 30
_WORDS: Final = {"ok": "No drift", "drift": "Drift", "not_enough_data": "Not enough data"}
_WIDTH: Final = 11.0


def plot_drift(
    report: DriftReport,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    path: Path,
    faces: Sequence[tuple[str, NDArray[np.uint8]]] = (),
) -> None:
    """Draw the summary plot of a report.

    Args:
        report: to draw.
        reference: the values of its columns, a row per face.
        current: likewise.
        path: of the PNG.
        faces: title and pictures, uint8 `[N, C, S, S]`, of each side whose pictures are available.
    """
    subtitle = f"{report.current_rows:,} faces of {report.current} against {report.reference_rows:,} of {report.bundle}"
    moved = [column.column for column in report.columns if column.drifted]
    title = _WORDS[report.verdict] + (f": {', '.join(moved)}" if moved else "")
    heights = [2.9, 2.5] if report.columns else [1.0]
    heights += [1.1] * len(faces)
    with figure(path, (_WIDTH, sum(heights) + 0.66), title, subtitle) as canvas:
        parts = canvas.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        _draw_distances(parts[0], report)
        if report.columns:
            _draw_distributions(parts[1], report.columns[:SHOWN_COLUMNS], reference, current)
        for part, (name, pictures) in zip(parts[len(heights) - len(faces) :], faces, strict=True):
            _draw_faces(part, name, pictures)


def _draw_distances(part: SubFigure, report: DriftReport) -> None:
    axes = part.subplots()
    if not report.columns:
        axes.axis("off")
        needed = f"{report.current_rows} different faces; {report.min_rows} are needed before anything is concluded."
        axes.text(0, 0.5, needed, fontsize=11, color=INK, va="center")
        return
    columns = report.columns[::-1]
    colours = [RED if column.drifted else MUTED for column in columns]
    bars = axes.barh([column.column for column in columns], [column.distance for column in columns], color=colours)
    labels = [f"{column.distance:.2f}   p {_p_value(column.p_value)}" for column in columns]
    axes.bar_label(bars, labels, padding=5, fontsize=9, color=INK)
    axes.axvline(columns[0].min_distance, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, max(0.3, 1.25 * max(column.distance for column in columns))))
    axes.set_title("How far each column moved")
    rule = f"red: more than the dashed line, and p below {columns[0].threshold:.2g}"
    axes.set_xlabel(f"least share of the faces that would have to change; {rule}")
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(visible=False, axis="y")


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"


def _draw_distributions(
    part: SubFigure, columns: Sequence[ColumnDrift], reference: pd.DataFrame, current: pd.DataFrame
) -> None:
    all_axes = np.atleast_1d(part.subplots(1, len(columns)))
    for axes, column in zip(all_axes, columns, strict=True):
        old, new = reference[column.column], current[column.column]
        if pd.api.types.is_numeric_dtype(old):
            _draw_numbers(axes, old, new)
        else:
            _draw_classes(axes, column)
        axes.set_title(column.column, color=RED if column.drifted else INK)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    all_axes[0].legend(loc="best", fontsize=8.5)


def _draw_numbers(axes: Axes, old: pd.Series[Any], new: pd.Series[Any]) -> None:
    edges = np.histogram_bin_edges(np.concatenate([old, new]), bins=_BINS)
    for values, colour, label in ((old, BLUE, "reference"), (new, ORANGE, "current")):
        shares = np.histogram(values, edges)[0] / len(values)
        axes.stairs(shares, edges, fill=True, alpha=0.35, color=colour)
        axes.stairs(shares, edges, color=colour, linewidth=1.5, label=label)


def _draw_classes(axes: Axes, column: ColumnDrift) -> None:
    names = sorted({*column.reference, *column.current})
    for offset, shares, colour, label in (
        (-0.2, column.reference, BLUE, "reference"),
        (0.2, column.current, ORANGE, "current"),
    ):
        places = np.arange(len(names)) + offset
        axes.bar(places, [shares.get(name, 0.0) for name in names], 0.4, color=colour, label=label)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.grid(visible=False, axis="x")


def _draw_faces(part: SubFigure, name: str, pictures: NDArray[np.uint8]) -> None:
    axes = part.subplots()
    axes.axis("off")
    axes.set_title(name, fontsize=10)
    channels = pictures.shape[1]
    strip = np.concatenate([picture.transpose(1, 2, 0) for picture in pictures[:SHOWN_FACES]], axis=1)
    height, width = strip.shape[:2]
    axes.imshow(strip[..., 0] if channels == 1 else strip, cmap="gray", vmin=0, vmax=255)
    # Always the width of a full row, so that the faces of a shorter one have the same size.
    axes.set(xlim=(0, max(width, height * SHOWN_FACES)), ylim=(height, 0), anchor="W")
