"""The charts over time: every stretch in its place, models as marks, and nothing that breaks with little data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import altair as alt
import pytest
from tests.drift_examples import make_column, make_report

from mlopsproject.core.drift_reports import report_id
from mlopsproject.core.schemas import DriftEntry, ModelCount, Stats, TimeBucket
from mlopsproject.frontend import time_charts
from mlopsproject.frontend.theme import palette

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF = timedelta(minutes=30)


def bucket(number: int, *, agrees: int = 0, feedback: int = 0, uncertain: int = 0, **classes: int) -> TimeBucket:
    return TimeBucket(
        start=NOON + number * HALF,
        count=sum(classes.values()),
        uncertain=uncertain,
        mean_confidence=0.75 if classes else 0.0,
        classes=classes,
        feedback=feedback,
        feedback_agrees=agrees,
    )


def make_stats(*buckets: TimeBucket, models: dict[str, datetime] | None = None) -> Stats:
    return Stats(
        since=NOON,
        until=NOON + max(1, len(buckets)) * HALF,
        total=sum(each.count for each in buckets),
        uncertain=sum(each.uncertain for each in buckets),
        mean_confidence=0.75,
        mean_latency_ms=1.0,
        classes=[],
        timeline=list(buckets),
        models=[
            ModelCount(model_version=name, count=1, first=first, last=first) for name, first in (models or {}).items()
        ],
        feedback=sum(each.feedback for each in buckets),
        feedback_agrees=sum(each.feedback_agrees for each in buckets),
        statistics={},
        pending=0,
    )


def rows(chart: alt.LayerChart, layer: int = 1) -> list[dict[str, Any]]:
    """The data of a layer: the first makes the axis, the second has the figures, the third the models."""
    document = chart.to_dict()
    found: list[dict[str, Any]] = document["datasets"][document["layer"][layer]["data"]["name"]]
    return found


def ms(moment: datetime) -> float:
    return moment.timestamp() * 1000


def test_bars_are_as_long_as_their_stretch_and_say_which_it_is() -> None:
    stats = make_stats(bucket(0, happy=3, uncertain=1), bucket(1), bucket(2, sad=2))
    answered, uncertain, *_ = rows(time_charts.timeline(stats, palette()))
    assert (answered["low"], answered["high"], answered["count"]) == (1, 3, 2)
    assert (uncertain["low"], uncertain["high"], uncertain["count"]) == (0, 1, 1)
    assert (answered["start"], answered["end"]) == (ms(NOON), ms(NOON + HALF))
    assert answered["when"] == "01 Mar 12:00 – 12:30 UTC"


def test_shares_of_a_stretch_stand_on_each_other_and_make_a_whole() -> None:
    stats = make_stats(bucket(0, happy=3, sad=1), bucket(1), bucket(2, sad=2))
    found = rows(time_charts.shares(stats, ["happy", "sad"], palette()))
    assert [(row["expression"], row["low"], row["high"]) for row in found] == [
        ("happy", 0, 0.75),
        ("sad", 0.75, 1),
        ("happy", 0, 0),
        ("sad", 0, 1),
    ]


def test_lines_break_where_nothing_was_answered() -> None:
    stats = make_stats(bucket(0, happy=4, uncertain=1), bucket(1), bucket(2, sad=2))
    values = [(row["kind"], row["value"]) for row in rows(time_charts.quality(stats, palette()))]
    assert values == [
        ("mean confidence", 0.75),
        ("uncertain", 0.25),
        ("mean confidence", None),
        ("uncertain", None),
        ("mean confidence", 0.75),
        ("uncertain", 0),
    ]


def test_agreement_has_a_point_wherever_somebody_said_something() -> None:
    stats = make_stats(bucket(0, feedback=4, agrees=3, happy=9), bucket(1, happy=1), bucket(2, feedback=1))
    found = rows(time_charts.agreement(stats, palette()))
    assert [(row["value"], row["labels"], row["text"]) for row in found] == [(0.75, 4, "3 of 4"), (0, 1, "0 of 1")]


def test_every_model_is_marked_where_it_answered_first() -> None:
    times = {f"net-{number}23456789abc": NOON + number * 10 * timedelta(minutes=1) for number in range(5)}
    stats = make_stats(bucket(0, happy=1), bucket(1, happy=1), models=times)
    for chart in (time_charts.timeline(stats, palette()), time_charts.shares(stats, ["happy"], palette())):
        marks = rows(chart, 2)
        assert [(mark["model"], mark["at"]) for mark in marks] == [(name, ms(time)) for name, time in times.items()]
        assert [mark["name"] for mark in marks] == ["net-0234", "net-1234", "net-2234", "net-3234", "net-4234"]
        # Names near the right edge stand to the left of their rule.
        assert [mark["side"] for mark in marks] == ["left", "left", "left", "right", "right"]


@pytest.mark.parametrize("minutes", [0, 7])
def test_one_stretch_alone_makes_charts_with_an_axis(minutes: int) -> None:
    first = NOON + timedelta(minutes=minutes)
    stats = make_stats(bucket(0, happy=1, feedback=1, agrees=1), models={"net-0123456789ab": first})
    charts = (
        time_charts.timeline(stats, palette()),
        time_charts.shares(stats, ["happy"], palette()),
        time_charts.quality(stats, palette()),
        time_charts.agreement(stats, palette()),
    )
    for chart in charts:
        assert [row["at"] for row in rows(chart, 0)] == [ms(NOON), ms(NOON + HALF)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("net-0123456789ab", "net-0123"),
        ("plain", "plain"),
        ("a-model-with-a-name-that-is-long-0123456789ab", "…th-a-name-that-is-long-0123"),
    ],
)
def test_names_of_models_are_short_enough_for_a_chart(name: str, shown: str) -> None:
    assert time_charts.short_name(name) == shown
    assert len(shown) <= 28


def test_verdicts_are_points_in_time_also_if_there_is_one() -> None:
    reports = [
        make_report(hours=24, drifted_share=0.5),
        make_report(verdict="not_enough_data", columns=[], drifted_share=None),
        make_report(hours=12, verdict="ok", columns=[make_column(drifted=False)], drifted_share=0.0),
    ]
    entries = [DriftEntry(id=report_id(report), report=report) for report in reports]
    chart = time_charts.verdicts(entries, palette())
    assert [(row["verdict"], row["share"], row["text"]) for row in rows(chart)] == [
        ("drift", 0.5, "1 of 2 columns"),
        ("not enough data", 0, "0 of 0 columns"),
        ("no drift", 0, "0 of 1 columns"),
    ]
    begin, end = (row["at"] for row in rows(chart, 0))
    assert begin < min(row["at"] for row in rows(chart)) < max(row["at"] for row in rows(chart)) < end
    alone = rows(time_charts.verdicts(entries[:1], palette()), 0)
    assert alone[0]["at"] < alone[1]["at"]
