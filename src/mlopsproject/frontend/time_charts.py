"""The charts of the monitoring page: one time axis, in UTC, with the models as marks on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import altair as alt
import pandas as pd

from mlopsproject.core.schemas import DriftEntry, ModelCount, Stats
from mlopsproject.frontend import time_axis
from mlopsproject.frontend.charts import PADDING, kind_colour, percent
from mlopsproject.frontend.theme import Palette

_HEIGHT: Final = 280
#: Room above the data for the names of the models, in rows of text; more models than rows share them.
_ROWS: Final = 3
_ROW: Final = 13
#: Digits of a bundle's name that are shown: enough to tell two versions apart.
_DIGITS: Final = 4
_LONGEST_NAME: Final = 28
VERDICTS: Final = {"ok": "no drift", "drift": "drift", "not_enough_data": "not enough data"}


def timeline(stats: Stats, palette: Palette) -> alt.LayerChart:
    """Answers over time, the uncertain ones apart.

    Args:
        stats: with a timeline of at least one stretch, as for all charts here.
        palette: colours.
    """
    rows = pd.DataFrame(
        [
            {**time_axis.stretch(entry, stats), "kind": kind, "count": high - low, "low": low, "high": high}
            for entry in stats.timeline
            for kind, low, high in (("answered", entry.uncertain, entry.count), ("uncertain", 0, entry.uncertain))
        ]
    )
    whole = alt.Axis(tickMinStep=1, format="~s", tickCount=4, gridOpacity=0.5)
    highest = max(1, *(entry.count for entry in stats.timeline), 1)
    bars = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            x=time_axis.of_stats(stats),
            x2="end:T",
            y=alt.Y("low:Q", title=None, axis=whole, scale=alt.Scale(domain=[0, highest], nice=True)),
            y2="high:Q",
            color=kind_colour(palette, "bottom"),
            tooltip=[_SPAN, alt.Tooltip("kind:N", title="Kind"), alt.Tooltip("count:Q", title="Faces", format=",")],
        )
    )
    return _finish(bars, stats, palette)


def shares(stats: Stats, classes: Sequence[str], palette: Palette) -> alt.LayerChart:
    """Which share of the answers each class has, over time.

    Args:
        stats: see `timeline`.
        classes: in the order to show; all that occur.
        palette: colours.
    """
    rows = []
    for entry in stats.timeline:
        low = 0
        for name in classes if entry.count else ():
            count = entry.classes.get(name, 0)
            share = {
                "low": low / entry.count,
                "high": (low + count) / entry.count,
                "share": percent(count / entry.count),
            }
            rows.append({**time_axis.stretch(entry, stats), "expression": name, "count": count, **share})
            low += count
    frame = pd.DataFrame(rows, columns=["start", "end", "when", "expression", "count", "low", "high", "share"])
    colours = [palette.series[place % len(palette.series)] for place in range(len(classes))]
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=time_axis.of_stats(stats),
            x2="end:T",
            y=alt.Y("low:Q", title=None, axis=_PERCENT, scale=alt.Scale(domain=[0, 1])),
            y2="high:Q",
            color=alt.Color(
                "expression:N",
                scale=alt.Scale(domain=list(classes), range=colours),
                legend=alt.Legend(title=None, orient="bottom", columns=5 if len(classes) <= 5 else 4),
            ),
            tooltip=[
                _SPAN,
                alt.Tooltip("expression:N", title="Expression"),
                alt.Tooltip("share:N", title="Share"),
                alt.Tooltip("count:Q", title="Faces", format=","),
            ],
        )
    )
    return _finish(bars, stats, palette)


def quality(stats: Stats, palette: Palette) -> alt.LayerChart:
    """Mean confidence and the share of uncertain answers, over time.

    Args:
        stats: see `timeline`.
        palette: colours.
    """
    rows = pd.DataFrame(
        [
            # Where nothing was answered the lines break.
            {
                **time_axis.stretch(entry, stats),
                "kind": kind,
                "value": value,
                "text": "" if value is None else percent(value),
            }
            for entry in stats.timeline
            for kind, value in (
                ("mean confidence", entry.mean_confidence if entry.count else None),
                ("uncertain", entry.uncertain / entry.count if entry.count else None),
            )
        ]
    )
    scale = alt.Scale(domain=["mean confidence", "uncertain"], range=[palette.strong, palette.doubt])
    lines = (
        alt.Chart(rows)
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=time_axis.of_stats(stats, "middle:T"),
            y=alt.Y("value:Q", title=None, axis=_PERCENT, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None, orient="bottom")),
            tooltip=[_SPAN, alt.Tooltip("kind:N", title="Figure"), alt.Tooltip("text:N", title="Value")],
        )
    )
    return _finish(lines, stats, palette)


def agreement(stats: Stats, palette: Palette) -> alt.LayerChart:
    """How often feedback agrees with the model, over the time at which it was given; larger points have more of it.

    Args:
        stats: see `timeline`; with feedback.
        palette: colours.
    """
    rows = pd.DataFrame(
        [
            {
                **time_axis.stretch(entry, stats),
                "value": entry.feedback_agrees / entry.feedback,
                "labels": entry.feedback,
                "text": f"{entry.feedback_agrees:,} of {entry.feedback:,}",
            }
            for entry in stats.timeline
            if entry.feedback
        ]
    )
    points = (
        alt.Chart(rows)
        .mark_circle(color=palette.strong, opacity=0.85)
        .encode(
            x=time_axis.of_stats(stats, "middle:T"),
            # Whole points also where all agree.
            y=alt.Y("value:Q", title=None, axis=_PERCENT, scale=alt.Scale(domain=[0, 1.06])),
            size=alt.Size("labels:Q", scale=alt.Scale(domainMin=0, range=[20, 260]), legend=None),
            tooltip=[_SPAN, alt.Tooltip("text:N", title="Agree")],
        )
    )
    return _finish(points, stats, palette)


def verdicts(entries: Sequence[DriftEntry], palette: Palette) -> alt.LayerChart:
    """The drift reports over time: which share of the columns moved, and the verdict.

    Args:
        entries: at least one.
        palette: colours.
    """
    rows = pd.DataFrame(
        [
            {
                "at": time_axis.milliseconds(entry.report.created_at),
                "when": f"{entry.report.created_at.astimezone(UTC):%d %b %Y %H:%M} UTC",
                "verdict": VERDICTS[entry.report.verdict],
                "share": entry.report.drifted_share or 0.0,
                "text": _moved(entry),
                "bundle": entry.report.bundle,
                "rows": entry.report.current_rows,
            }
            for entry in entries
        ]
    )
    colours = alt.Scale(domain=list(VERDICTS.values()), range=[palette.strong, palette.doubt, palette.line])
    shapes = alt.Scale(domain=list(VERDICTS.values()), range=["circle", "triangle-up", "cross"])
    legend = alt.Legend(title=None, orient="bottom")
    # A lone report would have no axis to speak of.
    times = [entry.report.created_at for entry in entries]
    room = max(max(times) - min(times), timedelta(hours=1)) / 20
    begin, end = min(times) - room, max(times) + room
    points = (
        alt.Chart(rows)
        .mark_point(filled=True, size=110, opacity=0.9)
        .encode(
            x=time_axis.axis("at:T", end - begin),
            y=alt.Y("share:Q", title="columns that moved", axis=_PERCENT, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("verdict:N", scale=colours, legend=legend),
            shape=alt.Shape("verdict:N", scale=shapes, legend=legend),
            tooltip=[
                alt.Tooltip("when:N", title="Report"),
                alt.Tooltip("verdict:N", title="Verdict"),
                alt.Tooltip("text:N", title="Moved"),
                alt.Tooltip("rows:Q", title="Faces", format=","),
                alt.Tooltip("bundle:N", title="Model"),
            ],
        )
    )
    chart: alt.LayerChart = (
        alt.layer(time_axis.ends(begin, end), points)
        .properties(height=_HEIGHT, padding=PADDING)
        .configure_view(strokeWidth=0)
    )
    return chart


def short_name(model_version: str) -> str:
    """A bundle's name with the first of its digits only.

    Args:
        model_version: the bundle's name.
    """
    name, _, digits = model_version.rpartition("-")
    text = f"{name}-{digits[:_DIGITS]}" if name else model_version
    return text if len(text) <= _LONGEST_NAME else f"…{text[1 - _LONGEST_NAME :]}"


_PERCENT: Final = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], gridOpacity=0.5)
_SPAN: Final = alt.Tooltip("when:N", title="Time")


def _finish(chart: alt.Chart, stats: Stats, palette: Palette) -> alt.LayerChart:
    """Add the models: a rule with a name where each answered first."""
    begin = stats.timeline[0].start
    layers = [time_axis.ends(begin, begin + time_axis.length(stats)), chart, *_marks(stats, palette)]
    finished: alt.LayerChart = (
        alt.layer(*layers)
        .properties(height=_HEIGHT, padding={**PADDING, "top": 8 + _ROW * min(_ROWS, len(stats.models))})
        .configure_view(strokeWidth=0, clip=False)
    )
    return finished


def _marks(stats: Stats, palette: Palette) -> list[alt.Chart]:
    if not stats.models:
        return []
    begin, length = stats.timeline[0].start, time_axis.length(stats)
    rows = pd.DataFrame([_mark(model, begin, length, place) for place, model in enumerate(stats.models)])
    tip = [
        alt.Tooltip("model:N", title="Model"),
        alt.Tooltip("first:N", title="First answer"),
        alt.Tooltip("count:Q", title="Faces", format=","),
    ]
    rules = (
        alt.Chart(rows)
        .mark_rule(strokeDash=[5, 3], strokeWidth=1.5, color=palette.text, opacity=0.75)
        .encode(x=time_axis.of_stats(stats, "at:T"), tooltip=tip)
    )
    # Names stand on the side with more room, each model's in a row of its own above the data.
    names = [
        alt.Chart(rows[(rows["side"] == side) & (rows["row"] == row)])
        .mark_text(align=side, dx=4 if side == "left" else -4, fontSize=11, color=palette.text)
        .encode(x=time_axis.of_stats(stats, "at:T"), y=alt.value(-_ROW * row - 10), text="name:N", tooltip=tip)
        for side, row in sorted(set(zip(rows["side"], rows["row"], strict=True)))
    ]
    return [rules, *names]


def _mark(model: ModelCount, begin: datetime, length: timedelta, place: int) -> dict[str, object]:
    return {
        "at": time_axis.milliseconds(model.first),
        "model": model.model_version,
        "name": short_name(model.model_version),
        "first": f"{model.first.astimezone(UTC):%d %b %Y %H:%M} UTC",
        "count": model.count,
        "side": "left" if model.first - begin < length / 2 else "right",
        "row": place % _ROWS,
    }


def _moved(entry: DriftEntry) -> str:
    moved = sum(column.drifted for column in entry.report.columns)
    return f"{moved} of {len(entry.report.columns)} columns"
