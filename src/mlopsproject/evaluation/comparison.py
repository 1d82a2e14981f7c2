"""Table of results with one row per bundle and precision, and the plot of accuracy against latency."""

from __future__ import annotations

import csv
import io
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mlopsproject.core.errors import DataError, first_line
from mlopsproject.core.files import atomic_file
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.votes import LabelRule
from mlopsproject.evaluation.style import BLUE, GREEN, INK, MUTED, ORANGE, figure

#: Columns of a table of results, in order. Shares are 0-1, latency is in ms on one core of `machine`, training time in
#: hours on the machine that `trained_on` names.
COLUMNS: Final = (
    "bundle",
    "precision",
    "classes",
    "data",
    "split",
    "labels",
    "images",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "macro_f1",
    "ece",
    "accuracy_without_twins",
    "accuracy_flip_tta",
    "robustness_images",
    "corrupted_accuracy",
    "coverage",
    "accuracy_when_certain",
    "input_size",
    "parameters",
    "macs",
    "megabytes",
    "latency_ms",
    "machine",
    "epochs",
    "training_hours",
    "trained_on",
    "seed",
    "command",
    "class_names",
    "data_fingerprint",
)
#: Rows with equal values in these columns are the same measurement, and a new one replaces the old.
_KEY: Final = ("bundle", "precision", "data_fingerprint", "split", "labels")
#: Rows with equal values in these columns were measured on the same images and can be in one plot.
_SAME_IMAGES: Final = ("data_fingerprint", "split", "labels", "class_names")
_NUMBERS: Final = ("classes", "accuracy", "latency_ms")


def result_row(predictor: Predictor, metrics: Mapping[str, Any], latency_ms: float) -> dict[str, Any]:
    """One row of a table of results.

    Args:
        predictor: of the bundle and precision that was measured.
        metrics: from `evaluator.evaluate_bundle`.
        latency_ms: from `latency.measure_latency`.

    Returns:
        Column → value for each of `COLUMNS`; ``None`` for unknown values.
    """
    spec, training, robustness = predictor.spec, predictor.spec.training, metrics["robustness"] or {}
    low, high = metrics.get("intervals_95", {}).get("accuracy") or (None, None)
    rule = LabelRule.of(metrics["data"])
    size = predictor.bundle.model_file(predictor.precision).stat().st_size
    seconds = training.get("seconds")
    return {
        "bundle": spec.name,
        "precision": predictor.precision,
        "classes": len(spec.classes),
        "data": metrics["data"]["name"],
        "split": metrics["data"]["split"],
        "labels": " ".join([rule.labels, *(f"{key}={value}" for key, value in rule.changed().items())]),
        "images": metrics["images"],
        "accuracy": _rounded(metrics["accuracy"]),
        "accuracy_low": _rounded(low),
        "accuracy_high": _rounded(high),
        "macro_f1": _rounded(metrics["macro_f1"]),
        "ece": _rounded(metrics["ece"]),
        "accuracy_without_twins": _rounded((metrics["without_twins"] or {}).get("accuracy")),
        "accuracy_flip_tta": _rounded(metrics["flip_tta"]["accuracy"]),
        "robustness_images": robustness.get("images"),
        "corrupted_accuracy": _rounded(robustness.get("corrupted_accuracy")),
        "coverage": _rounded(metrics["abstention"]["coverage"]),
        "accuracy_when_certain": _rounded(metrics["abstention"]["accuracy"]),
        "input_size": spec.input.size,
        "parameters": spec.network.get("parameters"),
        "macs": spec.network.get("macs"),
        "megabytes": round(size / 1e6, 2),
        "latency_ms": round(latency_ms, 3),
        "machine": cpu_name(),
        "epochs": training.get("epochs"),
        "training_hours": None if seconds is None else round(seconds / 3600, 2),
        "trained_on": training.get("machine"),
        "seed": training.get("seed"),
        "command": training.get("command"),
        "class_names": " ".join(spec.classes),
        "data_fingerprint": metrics["data"]["fingerprint"],
    }


def merge_rows(old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Replace old rows by new ones of the same measurement; sort by fewest classes, then by highest accuracy."""
    rows = {tuple(str(row[key]) for key in _KEY): dict(row) for row in [*old, *new]}
    return sorted(rows.values(), key=lambda row: (int(row["classes"]), -float(row["accuracy"]), str(row["bundle"])))


def same_images(rows: Iterable[Mapping[str, Any]], as_row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows that were measured on the same images and classes as `as_row`."""
    return [row for row in rows if all(str(row[key]) == str(as_row[key]) for key in _SAME_IMAGES)]


def seed_summary(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over runs of one recipe: the same command except for its seed, on the same images.

    Returns:
        For each recipe with at least two seeds `recipe`, `precision`, `data`, `split`, `seeds`, `mean` and `sd` of the
        accuracy (0-1, `sd` with n - 1). Rows without a seed are left out.
    """
    runs: dict[tuple[str, ...], dict[str, float]] = {}
    names: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row["seed"] in (None, ""):
            continue
        command = re.sub(r" -o seed=\d+", "", str(row["command"]))
        key = (recipe(row), command, str(row["precision"]), *(str(row[name]) for name in _SAME_IMAGES))
        runs.setdefault(key, {})[str(row["seed"])] = float(row["accuracy"])
        names[key] = {"recipe": recipe(row), **{name: str(row[name]) for name in ("precision", "data", "split")}}
    return [
        names[key]
        | {"seeds": len(found), "mean": statistics.mean(found.values()), "sd": statistics.stdev(found.values())}
        for key, found in runs.items()
        if len(found) > 1
    ]


def recipe(row: Mapping[str, Any]) -> str:
    """The bundle's name without its hash, which is equal for all runs of one recipe."""
    return str(row["bundle"]).rpartition("-")[0]


def read_rows(path: Path, columns: Sequence[str] = COLUMNS) -> list[dict[str, str]]:
    """Read a table of results; a missing file counts as an empty table.

    Raises:
        DataError: if it is not a CSV file, lacks one of the columns, or has a value that is not a number in `classes`,
            `accuracy` or `latency_ms`.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            # Tables of versions that knew no others hold figures by the given labels.
            missing = [name for name in columns if name not in (*(reader.fieldnames or []), "labels")]
            if missing:
                raise DataError(f"{path} is no table of results: it has no column {missing[0]}.", "Move it away.")
            rows = [{**row, "labels": row.get("labels") or "given"} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no table of results ({first_line(error)}).", "Move it away.") from error
    for number, row in enumerate(rows, start=2):
        for name in set(_NUMBERS) & set(columns):
            try:
                float(row[name])
            except (TypeError, ValueError):
                raise DataError(f"{path}, line {number}: {name}={row[name]!r} is no number.") from None
    return rows


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a table of results atomically; its folder is created if needed.

    Raises:
        UserError: for a full disk, or a folder that cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if row[key] is None else row[key] for key in COLUMNS} for row in rows)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def plot_comparison(
    rows: Sequence[Mapping[str, Any]], published: Sequence[Mapping[str, str]], path: Path, *, classes: int
) -> None:
    """Plot accuracy against latency; published accuracies, which have no comparable latency, are listed at the side.

    Args:
        rows: of a table of results, measured on the same images; those of `classes` classes are drawn.
        published: rows with `name`, `accuracy` (0-1) and `classes`.
        path: of the PNG.
        classes: number of classes.
    """
    shown = [row for row in rows if int(row["classes"]) == classes]
    others = [row for row in published if int(row["classes"]) == classes]
    title = f"Accuracy against latency, {classes} classes"
    subtitle = f"{_measured_on(shown)}one face on one core, 95 % intervals"
    if others:
        subtitle += "; right: as published by others, on splits of their own"
    with figure(path, (9.0, 5.0), title, subtitle) as canvas:
        axes, *sides = canvas.subplots(1, 2, sharey=True, width_ratios=(2, 1)) if others else [canvas.subplots()]
        named: list[Mapping[str, Any]] = []
        labels = 0
        for precision, marker, colour in (("fp32", "o", BLUE), ("int8", "s", GREEN)):
            chosen = [row for row in shown if row["precision"] == precision]
            x, y = [float(row["latency_ms"]) for row in chosen], [float(row["accuracy"]) for row in chosen]
            errors = [
                [abs(float(row[key] or row["accuracy"]) - float(row["accuracy"])) for row in chosen]
                for key in ("accuracy_low", "accuracy_high")
            ]
            if chosen:
                style: dict[str, Any] = {"color": colour, "fmt": marker, "markersize": 7, "capsize": 3, "linewidth": 1}
                axes.errorbar(x, y, yerr=errors, label=precision, **style)
            for row, a, b in zip(chosen, x, y, strict=True):
                # One label for both precisions of a bundle, which are close together.
                if precision == "fp32" or not any(row["bundle"] == item["bundle"] for item in named):
                    place = (7, 5 if labels % 2 == 0 else -13)  # alternately above and below
                    axes.annotate(recipe(row), (a, b), place, textcoords="offset points", fontsize=8.5, color=INK)
                    labels += 1
            named += chosen
        axes.set(xlabel="ms per face", ylabel="accuracy", xscale="log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        axes.margins(x=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        for side in sides:
            _list_published(side, others)


def _measured_on(rows: Sequence[Mapping[str, Any]]) -> str:
    """The data set, split and labels of rows that were measured on the same images."""
    if not rows:
        return ""
    labels = "" if rows[0]["labels"] == "given" else f", labels: {rows[0]['labels']} of the raters"
    return f"{rows[0]['data']}, {rows[0]['split']}{labels}; "


def _list_published(side: Axes, rows: Sequence[Mapping[str, str]]) -> None:
    """Mark the accuracies that others published, with their names."""
    for row in rows:
        height = float(row["accuracy"])
        side.plot([0, 0.06], [height, height], color=ORANGE, linewidth=2)
        side.text(0.08, height, f"{row['name']}  {height:.1%}", va="center", fontsize=8, color=MUTED)
    side.set(xlim=(0, 1), xticks=[])
    side.grid(visible=False)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
