"""Table of metrics for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """A bundle's metrics on a split: per class, then overall, with 95 % intervals.

    Args:
        metrics: content of `metrics.json`.
    """
    data, bundle = metrics["data"], metrics["bundle"]
    what = f"{bundle['name'] or 'new bundle'} ({bundle['precision']})"
    truth = "" if data.get("labels", "given") == "given" else ", by the raters' majority"
    table = Table(title=f"{what} on {data['name']}/{data['split']}{truth}, {metrics['images']:,} images")
    for column in ("class", "precision", "recall", "F1", "images"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for label, row in metrics["per_class"].items():
        table.add_row(label, *(_percent(row[key]) for key in ("precision", "recall", "f1")), f"{row['support']:,}")
    table.add_section()
    intervals = metrics.get("intervals_95", {})
    overall = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
    for key, title in overall.items():
        span = intervals.get(key)
        table.add_row(
            title, "", "", _percent(metrics[key]), f"[dim]{_percent(span[0])}-{_percent(span[1])}" if span else ""
        )
    table.add_row("calibration error (ECE)", "", "", _percent(metrics["ece"]), "")
    without = metrics["without_twins"]
    if without:
        table.add_row("accuracy without twins", "", "", _percent(without["accuracy"]), f"{without['images']:,}")
    table.add_row("accuracy with flip TTA", "", "", _percent(metrics["flip_tta"]["accuracy"]), "")
    answered = metrics["abstention"]
    table.add_row("accuracy when certain", "", "", _percent(answered["accuracy"]), f"{answered['answered']:,}")
    if robustness := metrics["robustness"]:
        table.add_row(
            "accuracy on corrupted", "", "", _percent(robustness["corrupted_accuracy"]), f"{robustness['images']:,}"
        )
    if other := metrics.get("other_classes"):
        for name, found in other["per_class"].items():
            table.add_row(f"uncertain on {name} faces", "", "", _percent(found["uncertain"]), f"{found['images']:,}")
    if raters := metrics.get("raters"):
        table.add_section()
        table.add_row("raters' first among two likeliest", "", "", _percent(raters["top2"]), f"{raters['images']:,}")
        table.add_row("agrees with a rater", "", "", _percent(raters["agrees_with_a_rater"]), "")
        table.add_row("[dim]two raters agree", "", "", _percent(raters["two_raters_agree"]), "")
        table.add_row("[dim]a rater agrees with the others", "", "", _percent(raters["rater_against_others"]), "")
    for kind, found in (metrics["rejection"] or {}).items():
        table.add_row(f"uncertain on {kind} pictures", "", "", _percent(found["uncertain"]), f"{found['images']:,}")
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
