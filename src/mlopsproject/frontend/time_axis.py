"""The time axis that the charts of the monitoring page share, in UTC: stretches of the timeline, and where they lie."""

from __future__ import annotations

from datetime import datetime, timedelta

import altair as alt
import pandas as pd

from mlopsproject.core.schemas import Stats, TimeBucket


def milliseconds(moment: datetime) -> int:
    """A moment as the charts take it: since 1970."""
    return round(moment.timestamp() * 1000)


def length(stats: Stats) -> timedelta:
    """How long the timeline is, from the first stretch's start to the last one's end."""
    return stats.timeline[-1].start + _width(stats) - stats.timeline[0].start


def stretch(entry: TimeBucket, stats: Stats) -> dict[str, int | str]:
    """Where a stretch is on the axis, as numbers and in words: `start`, `middle`, `end` and `when`."""
    width = _width(stats)
    end = entry.start + width
    day, clock = "%d %b", "%H:%M:%S" if width < timedelta(minutes=1) else "%H:%M"
    if width >= timedelta(days=1):
        words = f"{entry.start:{day}} – {end:{day}}"
    else:
        words = f"{entry.start:{day} {clock}} – {end:{clock}} UTC"
    moments = {"start": entry.start, "middle": entry.start + width / 2, "end": end}
    return {**{name: milliseconds(moment) for name, moment in moments.items()}, "when": words}


def of_stats(stats: Stats, field: str = "start:T") -> alt.X:
    """The axis that all charts of these statistics have."""
    return axis(field, length(stats))


def axis(field: str, span: timedelta) -> alt.X:
    """A time axis of some length. It reaches as far as the data, see `ends`: layers that name its ends fall out."""
    clock = "%H:%M" if span <= timedelta(days=2) else "%d %b"
    labels = alt.Axis(format=clock, labelOverlap=True, tickCount=6, grid=False)
    return alt.X(field, title=None, scale=alt.Scale(type="utc", nice=False), axis=labels)


def ends(first: datetime, last: datetime) -> alt.Chart:
    """A layer that shows nothing and makes the time axis reach from one moment to another."""
    rows = pd.DataFrame({"at": [milliseconds(first), milliseconds(last)]})
    chart: alt.Chart = alt.Chart(rows).mark_point(opacity=0, tooltip=None).encode(x=axis("at:T", last - first))
    return chart


def _width(stats: Stats) -> timedelta:
    """Length of a stretch; a single one is as long as what was asked for."""
    first = stats.timeline[0].start
    return stats.timeline[1].start - first if len(stats.timeline) > 1 else stats.until - first
