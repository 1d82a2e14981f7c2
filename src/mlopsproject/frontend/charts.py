"""The charts of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import altair as alt
import pandas as pd

from mlopsproject.core.schemas import ClassCount
from mlopsproject.frontend.theme import Palette

_BAR = 30
#: Room for a percentage behind the longest bar, as a share of the axis.
_ROOM = 0.16
PADDING = {"left": 0, "right": 4, "top": 4, "bottom": 4}


def probabilities(
    values: Mapping[str, float], top: str, uncertain: bool, threshold: float | None, palette: Palette
) -> alt.LayerChart:
    """One bar per class, in the model's order, with its percentage.

    Args:
        values: calibrated probability by class name.
        top: the most probable class.
        uncertain: whether the answer is; no bar stands out then.
        threshold: confidence that an answer needs; drawn as a line.
        palette: colours.
    """
    rows = pd.DataFrame({"expression": list(values), "probability": list(values.values())})
    rows["text"] = [percent(value) for value in rows["probability"]]
    rows["kind"] = ["top" if name == top else "other" for name in rows["expression"]]
    # All layers need this axis: Vega fails where one leaves it out and another does not.
    x = alt.X("probability:Q", scale=alt.Scale(domain=[0, 1 + _ROOM], nice=False), axis=None)
    base = alt.Chart(rows).encode(y=_expressions(list(values)), x=x)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["top", "other"], range=[palette.doubt if uncertain else palette.strong, palette.soft]),
        legend=None,
    )
    tip = [alt.Tooltip("expression:N", title="Expression"), alt.Tooltip("text:N", title="Probability")]
    layers: list[alt.Chart] = [
        base.mark_bar(cornerRadiusEnd=4, height=18).encode(color=colour, tooltip=tip),
        base.mark_text(align="left", dx=6, fontSize=13, color=palette.text).encode(text="text:N"),
    ]
    if threshold is not None:
        needed = pd.DataFrame({"probability": [threshold], "text": [f"needed: {percent(threshold)}"]})
        rule = alt.Chart(needed).mark_rule(strokeDash=[4, 4], color=palette.line)
        layers.append(rule.encode(x=x, tooltip="text:N"))
    chart: alt.LayerChart = (
        alt.layer(*layers).properties(height=_BAR * len(rows), padding=PADDING).configure_view(strokeWidth=0)
    )
    return chart


def counts(classes: Sequence[ClassCount], palette: Palette, *, legend: bool = True) -> alt.LayerChart:
    """Answers by class, the uncertain ones apart.

    Args:
        classes: in the order to show.
        palette: colours.
        legend: say which colour is which kind of answer.
    """
    rows = pd.DataFrame(
        [
            {"expression": entry.label, "kind": kind, "count": count, "order": order}
            for entry in classes
            for order, (kind, count) in enumerate(_kinds(entry.count, entry.uncertain))
        ]
    )
    totals = pd.DataFrame([{"expression": entry.label, "count": entry.count} for entry in classes])
    most = max(1, *(entry.count for entry in classes), 1)
    y = _expressions([entry.label for entry in classes])
    x = alt.X("count:Q", scale=alt.Scale(domain=[0, most * (1 + _ROOM)], nice=False), axis=None, stack="zero")
    bars = (
        alt.Chart(rows)
        .mark_bar(height=18)
        .encode(
            y=y,
            x=x,
            color=kind_colour(palette, "top" if legend else None),
            order="order:Q",
            tooltip=["expression:N", "kind:N", "count:Q"],
        )
    )
    labels = (
        alt.Chart(totals)
        .mark_text(align="left", dx=6, fontSize=13, color=palette.text)
        .encode(y=y, x=x, text=alt.Text("count:Q", format=","))
    )
    chart: alt.LayerChart = (
        alt.layer(bars, labels)
        .properties(height=_BAR * len(totals) + 40 * legend, padding=PADDING)
        .configure_view(strokeWidth=0)
    )
    return chart


def percent(share: float) -> str:
    """A share as text, never rounded to a certainty that it is not."""
    if 0.999 < share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def _expressions(names: Sequence[str]) -> alt.Y:
    """The axis of class names."""
    axis = alt.Axis(labelFontSize=14, ticks=False, domain=False)
    return alt.Y("expression:N", sort=list(names), title=None, axis=axis)


def _kinds(count: int, uncertain: int) -> list[tuple[str, int]]:
    return [("answered", count - uncertain), ("uncertain", uncertain)]


def kind_colour(palette: Palette, orient: Literal["top", "bottom"] | None = "top") -> alt.Color:
    """Colours of the column `kind`, answers and uncertain ones.

    Args:
        palette: colours.
        orient: where the legend stands; `None` leaves it out.
    """
    scale = alt.Scale(domain=["answered", "uncertain"], range=[palette.strong, palette.doubt])
    return alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None, orient=orient) if orient else None)
