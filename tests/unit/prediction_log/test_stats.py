"""Statistics say what is in the database: nothing twice, nothing missing, each row in its place."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from tests.prediction_rows import make_row, make_rows

from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.prune import prune
from mlopsproject.prediction_log.rows import FeedbackRow, Row
from mlopsproject.prediction_log.stats import bucket_width, stats
from mlopsproject.prediction_log.tables import to_record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def moment(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def at(minutes: float) -> float:
    return moment(minutes).timestamp()


def fill(database: Database, rows: Sequence[Row]) -> None:
    database.insert([to_record(row) for row in rows])


def test_statistics_add_up(database: Database) -> None:
    rows = [
        make_row(created_at=at(1), predicted="happy", confidence=0.9, latency_ms=2.0, brightness=0.2),
        make_row(created_at=at(2), predicted="happy", confidence=0.5, latency_ms=4.0, brightness=0.4, uncertain=True),
        make_row(created_at=at(31), predicted="sad", confidence=0.7, model_version="other"),
    ]
    outside = [make_row(created_at=at(-0.01)), make_row(created_at=at(60))]
    fill(database, [*rows, *outside])
    found = stats(database, NOON, NOON + timedelta(hours=1), pending=7)
    assert (found.total, found.uncertain, found.pending) == (3, 1, 7)
    assert found.mean_confidence == pytest.approx(0.7)
    assert found.mean_latency_ms == pytest.approx((2 + 4 + 3.5) / 3)
    tiny, other = found.models
    assert (tiny.model_version, tiny.count, tiny.first, tiny.last) == ("tiny-0123456789ab", 2, moment(1), moment(2))
    assert (other.model_version, other.count, other.first, other.last) == ("other", 1, moment(31), moment(31))
    assert found.statistics == pytest.approx({"brightness": 1.1 / 3, "contrast": 0.25, "sharpness": 0.125})
    happy, sad = found.classes
    assert (happy.label, happy.count, happy.uncertain, happy.mean_confidence) == ("happy", 2, 1, pytest.approx(0.7))
    assert (sad.label, sad.count, sad.uncertain, sad.mean_confidence) == ("sad", 1, 0, pytest.approx(0.7))
    assert len(found.timeline) == 60
    assert [bucket.start.minute for bucket in found.timeline] == list(range(60))
    assert {bucket.start.minute: bucket.count for bucket in found.timeline if bucket.count} == {1: 1, 2: 1, 31: 1}
    assert found.timeline[2].classes == {"happy": 1}
    assert (found.timeline[2].uncertain, found.timeline[2].mean_confidence) == (1, 0.5)


def test_statistics_of_nothing_are_nothing(database: Database) -> None:
    found = stats(database, NOON, NOON + timedelta(days=1), pending=0)
    assert (found.total, found.mean_confidence, found.mean_latency_ms, found.classes) == (0, None, None, [])
    assert (found.models, found.statistics, found.feedback, found.feedback_agrees) == ([], {}, 0, 0)
    assert {bucket.count for bucket in found.timeline} == {0}


def test_feedback_counts_once_per_answer_and_the_newest_of_it_counts(database: Database) -> None:
    first, second, third = rows = [make_row(created_at=at(-1), predicted="happy") for _ in range(3)]
    labels = [
        FeedbackRow(first.prediction_id, "sad", created_at=at(1)),
        FeedbackRow(first.prediction_id, "happy", created_at=at(2)),
        FeedbackRow(second.prediction_id, "sad", created_at=at(3)),
        FeedbackRow(third.prediction_id, "happy", created_at=at(-1)),
        FeedbackRow("0" * 32, "happy", created_at=at(4)),
    ]
    fill(database, [*rows, *labels])
    found = stats(database, NOON, NOON + timedelta(hours=1), pending=0)
    assert (found.feedback, found.feedback_agrees) == (2, 1)
    by_minute = {bucket.start.minute: bucket for bucket in found.timeline if bucket.feedback}
    assert {minute: (bucket.feedback, bucket.feedback_agrees) for minute, bucket in by_minute.items()} == {
        2: (1, 1),
        3: (1, 0),
    }


@pytest.mark.parametrize(
    ("span", "width"),
    [
        (timedelta(seconds=20), 1),
        (timedelta(hours=1), 60),
        (timedelta(days=1), 1800),
        (timedelta(days=7), 10_800),
        (timedelta(days=91), 172_800),
        (timedelta(days=365), 604_800),
        (timedelta(days=36_500), 52_560_001),
    ],
)
def test_a_timeline_has_a_sensible_number_of_stretches(database: Database, span: timedelta, width: int) -> None:
    assert bucket_width(NOON, NOON + span) == width
    timeline = stats(database, NOON, NOON + span, pending=0).timeline
    assert 20 <= len(timeline) <= 61
    assert timeline[0].start <= NOON
    assert timeline[-1].start < NOON + span
    assert {(b.start - a.start).total_seconds() for a, b in itertools.pairwise(timeline)} == {width}


def test_every_row_is_in_the_timeline_whatever_the_ends(database: Database) -> None:
    fill(database, [make_row(created_at=at(minute)) for minute in range(0, 180, 7)])
    since, until = NOON + timedelta(minutes=6.5), NOON + timedelta(minutes=133.1)
    found = stats(database, since, until, pending=0)
    assert sum(bucket.count for bucket in found.timeline) == found.total == 19


def test_several_models_with_classes_of_their_own_are_told_apart(database: Database) -> None:
    drawn = random.Random(0)
    kinds = [(model, label) for model, labels in (("b", "xyz"), ("a", "yz"), ("ab", "x")) for label in labels]
    rows = [
        make_row(created_at=at(drawn.uniform(-5, 65)), model_version=model, predicted=label, uncertain=number % 4 == 0)
        for number in range(400)
        for model, label in [drawn.choice(kinds)]
    ]
    fill(database, rows)
    inside = [row for row in rows if at(0) <= row.created_at < at(60)]
    found = stats(database, NOON, moment(60), pending=0)
    assert found.total == len(inside)
    assert {model.model_version: model.count for model in found.models} == Counter(row.model_version for row in inside)
    assert {entry.label: entry.count for entry in found.classes} == Counter(row.predicted for row in inside)
    shares = Counter((int((row.created_at - at(0)) // 60), row.predicted) for row in inside)
    timeline = enumerate(found.timeline)
    assert {(place, name): count for place, each in timeline for name, count in each.classes.items()} == shares
    for model in found.models:
        times = [row.created_at for row in inside if row.model_version == model.model_version]
        assert (model.first.timestamp(), model.last.timestamp()) == pytest.approx((min(times), max(times)), abs=1e-5)
    assert [model.first for model in found.models] == sorted(model.first for model in found.models)


def test_a_model_that_answered_before_and_after_but_not_meanwhile_is_not_there(database: Database) -> None:
    fill(database, [make_row(created_at=at(minute), model_version="old") for minute in (-1, 61)])
    fill(database, [make_row(created_at=at(30), model_version="new")])
    assert [model.model_version for model in stats(database, NOON, moment(60), pending=0).models] == ["new"]


def test_latency_and_pictures_are_averaged_over_the_newest_thousand(database: Database) -> None:
    fill(database, make_rows(5, created_at=at(1), latency_ms=500.0, brightness=1.0))
    fill(database, make_rows(1000, created_at=at(2), latency_ms=4.0, brightness=0.25))
    found = stats(database, NOON, moment(60), pending=0)
    assert found.total == 1005
    assert (found.mean_latency_ms, found.statistics["brightness"]) == (4.0, 0.25)


def test_rows_that_come_again_late_or_go_are_counted_as_they_are_now(database: Database) -> None:
    rows = [make_row(created_at=at(minute)) for minute in (1, 2, 3)]
    fill(database, rows[1:])
    fill(database, rows)
    assert stats(database, NOON, moment(60), pending=0).total == 3
    prune(database, moment(2))
    assert stats(database, NOON, moment(60), pending=0).total == 2
