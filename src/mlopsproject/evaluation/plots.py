"""Plots of one evaluation. Each function writes one PNG file, without a display or global state."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from mlopsproject.evaluation.calibration import ReliabilityBin, RiskCoverage
from mlopsproject.evaluation.metrics import RocCurve
from mlopsproject.evaluation.style import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PALETTE, RED, SEQUENTIAL, SKY, figure

#: Pictures in a row of the grid of examples.
EXAMPLE_COLUMNS = 8


def plot_confusion(counts: NDArray[Any], classes: Sequence[str], path: Path, *, normalised: bool = False) -> None:
    """Draw a confusion matrix.

    Args:
        counts: int ``[K, K]``, rows are true classes.
        classes: the K names.
        path: of the PNG.
        normalised: show shares of each row instead of counts.
    """
    raw = np.asarray(counts, dtype=np.float64)
    shares = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1.0)
    values = shares if normalised else raw
    side = 2.4 + 0.72 * len(classes)
    title = "Confusion matrix, share of each true class" if normalised else "Confusion matrix, images"
    with figure(path, (side + 0.6, side), title, "rows: label · columns: prediction") as canvas:
        axes = canvas.subplots()

        def text(row: int, column: int) -> str:
            empty = normalised and raw[row].sum() == 0
            return "-" if empty else f"{values[row, column]:.0%}" if normalised else f"{raw[row, column]:,.0f}"

        # Colour always shows the share, so that a large class does not dominate.
        draw_shares(axes, shares, classes, classes, text)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label")


def draw_shares(
    axes: Axes, shares: NDArray[Any], rows: Sequence[str], columns: Sequence[str], text: Callable[[int, int], str]
) -> None:
    """Draw a table of shares as coloured cells with a text in each.

    Args:
        axes: to draw on.
        shares: float ``[R, C]``, 0-1.
        rows: the R names.
        columns: the C names.
        text: gives what stands in a cell, by row and column.
    """
    axes.imshow(shares, cmap=SEQUENTIAL, vmin=0, vmax=1)
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(shares.shape):
        weight = "bold" if row == column else "normal"
        colour = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, text(row, column), ha="center", va="center", color=colour, fontweight=weight)


def plot_roc(curves: Mapping[str, RocCurve], path: Path) -> None:
    """Draw one-vs-rest ROC curves with their micro and macro averages, as `metrics.roc_curves` gives them."""
    macro = curves.get("macro")
    subtitle = f"macro AUC {macro.area:.3f} · micro AUC {curves['micro'].area:.3f}" if macro else "no class to rank"
    with figure(path, (6.2, 5.6), "ROC, each class against the rest", subtitle) as canvas:
        axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
        names = [name for name in curves if name not in ("micro", "macro")]
        for index, name in enumerate(names):
            curve, colour = curves[name], PALETTE[index % len(PALETTE)]
            label = f"{name}  {curve.area:.3f}"
            axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=colour, linewidth=1.6, label=label)
        for name, line in (("micro", "--"), ("macro", "-.")):
            if name in curves:
                curve = curves[name]
                style: dict[str, Any] = {"color": INK, "linewidth": 1.6, "linestyle": line}
                label = f"{name} average  {curve.area:.3f}"
                axes.plot(curve.false_positive_rate, curve.true_positive_rate, label=label, **style)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        if names:
            axes.legend(loc="lower right", title="area under the curve", alignment="left")


def plot_reliability(bins: Sequence[ReliabilityBin], path: Path, *, ece: float | None) -> None:
    """Draw accuracy against confidence per bin, with the number of images below.

    Args:
        bins: from `calibration.reliability_bins`.
        path: of the PNG.
        ece: expected calibration error, 0-1, for the subtitle.
    """
    subtitle = (
        f"expected calibration error {ece:.3f} · on the line means: right as often as it claims"
        if ece is not None
        else ""
    )
    with figure(path, (6.2, 6.0), "Reliability", subtitle) as canvas:
        top, bottom = canvas.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
        filled = [item for item in bins if item["count"]]
        centres = [(item["lower"] + item["upper"]) / 2 for item in filled]
        width = (bins[0]["upper"] - bins[0]["lower"]) * 0.92
        accuracy = np.array([item["accuracy"] for item in filled], dtype=np.float64)
        confidence = np.array([item["confidence"] for item in filled], dtype=np.float64)
        top.bar(centres, accuracy, width, color=BLUE, label="accuracy")
        gap: dict[str, Any] = {"facecolor": "none", "edgecolor": RED, "hatch": "////", "linewidth": 0.8}
        top.bar(centres, confidence - accuracy, width, bottom=accuracy, label="gap to confidence", **gap)
        top.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=":")
        top.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1))
        top.legend(loc="upper left")
        bottom.bar(centres, [item["count"] for item in filled], width, color=GRID, edgecolor=MUTED, linewidth=0.6)
        bottom.set(xlabel="confidence", ylabel="images")
        bottom.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def plot_risk_coverage(curve: RiskCoverage, path: Path, *, threshold: float) -> None:
    """Draw the error rate among answered images against the share answered, with the bundle's threshold marked.

    Args:
        curve: from `calibration.risk_coverage`.
        path: of the PNG.
        threshold: the bundle's abstain threshold, confidence 0-1.
    """
    answered = int(np.sum(curve.threshold >= threshold))
    coverage, risk = (curve.coverage[answered - 1], curve.risk[answered - 1]) if answered else (0.0, 0.0)
    subtitle = f"at the bundle's threshold {threshold:.3f}: answers {coverage:.1%}, {risk:.1%} of them wrong"
    with figure(path, (6.2, 4.8), "Risk against coverage", subtitle) as canvas:
        axes = canvas.subplots()
        axes.plot(curve.coverage, curve.risk, color=BLUE)
        axes.fill_between(curve.coverage, curve.risk, color=BLUE, alpha=0.10, linewidth=0)
        axes.axvline(coverage, color=ORANGE, linewidth=1.2, linestyle="--")
        axes.plot([coverage], [risk], "o", color=ORANGE, markersize=9, label="abstain threshold")
        top = max(0.05, float(curve.risk[curve.coverage >= 0.1].max()) * 1.15)
        axes.set(xlabel="coverage: share of images answered", ylabel="risk: error rate among them")
        axes.set(xlim=(0, 1.01), ylim=(0, top))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if top > 0.08 else 1))
        axes.legend(loc="upper left")


def plot_per_class(metrics: Mapping[str, Any], path: Path) -> None:
    """Draw precision, recall and F1 of every class.

    Args:
        metrics: from `metrics.classification_metrics`; with `intervals_95`, F1 carries its 95% interval.
        path: of the PNG.
    """
    per_class = metrics["per_class"]
    intervals = metrics.get("intervals_95", {}).get("per_class", {})
    names, width = list(per_class), 0.26
    macro = metrics["macro_f1"]
    subtitle = f"macro F1 {macro:.3f}" + (" · whiskers: 95% interval of F1" if intervals else "")
    with figure(path, (max(6.2, 1.8 + 1.05 * len(names)), 4.6), "Per class", subtitle) as canvas:
        axes = canvas.subplots()
        for offset, (key, label, colour) in enumerate(
            (("precision", "precision", PALETTE[5]), ("recall", "recall", ORANGE), ("f1", "F1", BLUE))
        ):
            values = [per_class[name][key] or 0.0 for name in names]
            places = np.arange(len(names)) + (offset - 1) * (width + 0.02)
            axes.bar(places, values, width, color=colour, label=label)
            if key == "f1":
                _whiskers(axes, places, values, [intervals.get(name, {}).get("f1") for name in names])
        labels = [f"{name}\n{per_class[name]['support']:,} images" for name in names]
        axes.set_xticks(range(len(names)), labels)
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(visible=False, axis="x")
        axes.set(ylim=(0, 1.0))
        canvas.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _whiskers(axes: Axes, places: NDArray[Any], values: list[float], spans: list[list[float] | None]) -> None:
    for place, value, span in zip(places, values, spans, strict=True):
        if span is not None:
            low, high = max(0.0, value - span[0]), max(0.0, span[1] - value)
            axes.errorbar(place, value, yerr=[[low], [high]], color=INK, linewidth=1.2, capsize=2.5)


def plot_robustness(robustness: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy on corrupted pictures, one group of bars per kind, mild to severe.

    Args:
        robustness: from `robustness.measure_robustness`.
        path: of the PNG.
    """
    kinds = robustness["corruptions"]
    clean = robustness["accuracy"]
    subtitle = f"{robustness['images']:,} images; dashed: as they are, {clean:.1%}; mean of all bars"
    subtitle += f" {robustness['corrupted_accuracy']:.1%}"
    with figure(path, (9.0, 3.8), "Accuracy on corrupted pictures, mild to severe", subtitle) as canvas:
        axes = canvas.subplots()
        for offset, colour in enumerate((SKY, BLUE, INK)):
            values = [accuracies[offset] for accuracies in kinds.values()]
            bars = axes.bar(np.arange(len(kinds)) + (offset - 1) * 0.27, values, 0.25, color=colour)
            style: dict[str, Any] = {"color": INK if colour == SKY else "white", "fontsize": 8, "padding": -11}
            axes.bar_label(bars, [f"{100 * value:.0f}" for value in values], **style)
        axes.axhline(clean, color=RED, linewidth=1.2, linestyle="--")
        axes.set_xticks(range(len(kinds)), list(kinds))
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(visible=False, axis="x")
        axes.set(ylim=(0, 1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def plot_examples(
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    rows: Mapping[str, NDArray[np.int64]],
    path: Path,
) -> None:
    """Draw a grid of predictions: some right, some wrong, and the wrong ones of highest confidence.

    Args:
        images: uint8 ``[N, C, H, W]``, 0-255.
        labels: int ``[N]``.
        probabilities: float ``[N, K]``.
        classes: the K names.
        rows: title of each row of the grid → the images in it, from `example_rows`.
        path: of the PNG.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    size = (0.2 + 1.2 * EXAMPLE_COLUMNS, 0.75 + 1.78 * len(rows))
    with figure(path, size, "Example predictions", "label → prediction, with its confidence") as canvas:
        # One axes object for all pictures (one unit each), because laying out one per picture takes seconds.
        axes = canvas.subplots()
        axes.axis("off")
        for row, (title, chosen) in enumerate(rows.items()):
            top, colour = 1.55 * row, GREEN if title == "Right" else RED
            heading = title if len(chosen) else f"{title}: none"
            axes.text(0, top + 0.12, heading, color=colour, fontsize=10.5, fontweight="bold")
            for column, index in enumerate(chosen[:EXAMPLE_COLUMNS]):
                left = 1.06 * column
                picture = np.asarray(images[index]).transpose(1, 2, 0).squeeze()
                axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1.45, top + 0.45))
                name = classes[predicted[index]]
                said = name if predicted[index] == labels[index] else f"{classes[labels[index]]} → {name}"
                caption = f"{said}\n{confidence[index]:.0%}"
                axes.text(left + 0.5, top + 0.43, caption, fontsize=7.5, ha="center", va="bottom")
        axes.set(xlim=(0, 1.06 * EXAMPLE_COLUMNS), ylim=(1.55 * len(rows), 0))


def example_rows(
    labels: NDArray[Any], probabilities: NDArray[Any], columns: int = EXAMPLE_COLUMNS, seed: int = 0
) -> dict[str, NDArray[np.int64]]:
    """Choose the pictures of `plot_examples`.

    Returns:
        Row title → at most `columns` image indices: `Right` and `Wrong` drawn by `seed`, `Wrong, most confident first`
        by confidence.
    """
    right = probabilities.argmax(axis=1) == labels
    rng = np.random.default_rng(seed)
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:columns]
    return {
        "Right": rng.permutation(np.flatnonzero(right))[:columns],
        "Wrong": rng.permutation(wrong)[:columns],
        "Wrong, most confident first": surest,
    }


def plot_learning_curves(metrics_csv: Path, path: Path) -> None:
    """Draw loss and accuracy per epoch from a Lightning `CSVLogger` file.

    Args:
        metrics_csv: with an `epoch` column and any of `train/loss`, `val/loss`, `train/acc`, `val/acc`.
        path: of the PNG.
    """
    panels = {"loss": ("train/loss", "val/loss"), "accuracy": ("train/acc", "val/acc")}
    series = read_epochs(metrics_csv, [key for keys in panels.values() for key in keys])
    best = series["val/acc"]
    subtitle = ""
    if best:
        epoch = max(best, key=lambda item: best[item])
        subtitle = f"best validation accuracy {best[epoch]:.1%} in epoch {epoch + 1}"
    with figure(path, (9.0, 4.2), "Learning curves", subtitle) as canvas:
        for axes, (title, keys) in zip(canvas.subplots(1, 2), panels.items(), strict=True):
            for key, label, colour in zip(keys, ("training", "validation"), (BLUE, ORANGE), strict=True):
                if points := series[key]:
                    marker = "o" if len(points) < 12 else ""
                    epochs = [epoch + 1 for epoch in points]
                    axes.plot(epochs, list(points.values()), color=colour, label=label, marker=marker, markersize=4)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if title == "accuracy":
                # As many decimals as the ticks need: the accuracies may span a few percentage points only.
                axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
            if axes.lines:
                axes.legend()


def read_epochs(metrics_csv: Path, keys: Sequence[str]) -> dict[str, dict[int, float]]:
    """Read columns as column → epoch → value; the last row of an epoch is used, empty cells are skipped.

    Lightning writes `<name>_epoch` if a metric is logged per step and per epoch; that column is preferred.
    """
    series: dict[str, dict[int, float]] = {key: {} for key in keys}
    with metrics_csv.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if not row.get("epoch"):
                continue
            epoch = int(float(row["epoch"]))
            for key in keys:
                value = row.get(f"{key}_epoch") or row.get(key)
                if value:
                    series[key][epoch] = float(value)
    return series
