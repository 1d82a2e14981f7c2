"""What the log holds of a stretch of time, counted in the database; fast also over millions of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.schemas import ClassCount, ModelCount, Stats, TimeBucket
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import within
from mlopsproject.prediction_log.tables import feedback, predictions

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
#: Lengths that a stretch of the timeline may have, in seconds.
_WIDTHS: Final = (
    *(1, 5, 10, 30, 60, 300, 600, 900, 1800),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 30 * _DAY),
)
#: Stretches of a timeline, but for one that is cut at either end.
_BUCKETS: Final = 60
#: Answers whose latency and pictures are averaged: no index has these, and a million rows take long to read.
_NEWEST: Final = 1000
_MEANS: Final = ("latency_ms", *STATISTICS)


class _Answers(NamedTuple):
    """What one model answered with one class: first and last answer, and `counts` as `_counts` has them, `[B, 3]`."""

    model: str
    label: str
    first: datetime
    last: datetime
    counts: NDArray[np.float64]


def stats(database: Database, since: datetime, until: datetime, pending: int) -> Stats:
    """What the log holds from `since` on, before `until`, both with a time zone; `pending` rows are not there yet.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    width = bucket_width(since, until)
    bounds = _bounds(since, until, width)
    with database.transaction() as connection:
        answers = list(_answers(connection, bounds))
        given = connection.execute(_feedback(since, until, width, database.is_sqlite)).all()
        means = connection.execute(_means(since, until)).mappings().one()
    labels = sorted({each.label for each in answers})
    counts = np.zeros((len(labels), len(bounds) - 1, 3))
    for each in answers:
        counts[labels.index(each.label)] += each.counts
    first = int(since.timestamp() // width)
    timeline = _timeline(first, width, labels, counts, {(row.bucket - first, row.agrees): row.rows for row in given})
    total = _tally(counts)
    return Stats(
        since=since,
        until=until,
        total=total["count"],
        uncertain=total["uncertain"],
        mean_confidence=total["mean_confidence"] if answers else None,
        mean_latency_ms=means["latency_ms"],
        classes=[ClassCount(label=label, **_tally(own)) for label, own in zip(labels, counts, strict=True)],
        timeline=timeline,
        models=_models(answers),
        feedback=sum(bucket.feedback for bucket in timeline),
        feedback_agrees=sum(bucket.feedback_agrees for bucket in timeline),
        statistics={name: means[name] for name in STATISTICS if means[name] is not None},
        pending=pending,
    )


def bucket_width(since: datetime, until: datetime) -> int:
    """Length of the timeline's stretches, in seconds: the shortest usual one that makes no more than 60 of them."""
    seconds = (until - since).total_seconds()
    return next((width for width in _WIDTHS if seconds <= width * _BUCKETS), int(seconds / _BUCKETS) + 1)


def _bounds(since: datetime, until: datetime, width: int) -> list[datetime]:
    """Where the stretches begin and end: at both ends, and at the round times between them."""
    inner = range((int(since.timestamp() // width) + 1) * width, math.ceil(until.timestamp()), width)
    return [since, *(datetime.fromtimestamp(seconds, UTC) for seconds in inner), until]


def _answers(connection: sa.Connection, bounds: Sequence[datetime]) -> Iterator[_Answers]:
    """What each model answered with each class between the bounds, in the order of their names."""
    created_at = predictions.c.created_at
    moments = {f"bound_{place}": moment for place, moment in enumerate(bounds)}
    for model in _distinct(connection, predictions.c.model_version, sa.true()):
        of_model = predictions.c.model_version == model
        for label in _distinct(connection, predictions.c.predicted, of_model):
            own = sa.and_(of_model, predictions.c.predicted == label, within(bounds[0], bounds[-1]))
            ends = (sa.select(end(created_at)).where(own).scalar_subquery() for end in (sa.func.min, sa.func.max))
            first, last = connection.execute(sa.select(*ends)).one()
            if first is None:
                continue
            counts = np.zeros((len(bounds) - 1, 3))
            found = connection.execute(_counts(len(counts)), {"model": model, "label": label, **moments})
            for place, *values in found:
                counts[place] = [value or 0 for value in values]
            yield _Answers(model, label, first, last, counts)


def _distinct(connection: sa.Connection, column: sa.Column[str], condition: sa.ColumnElement[bool]) -> Iterator[str]:
    """Each value of a column, in order: from one to the next through an index, which a DISTINCT would read whole."""
    value = connection.scalar(sa.select(sa.func.min(column)).where(condition))
    while value is not None:
        yield value
        value = connection.scalar(sa.select(sa.func.min(column)).where(condition, column > value))


@cache
def _counts(stretches: int) -> sa.CompoundSelect[Any]:
    """Answers, uncertain answers and the sum of confidences of one model and class in each of some stretches.

    Every stretch is a range of the index. For a GROUP BY, SQLite would sort all rows, which takes six times as long.
    """
    return sa.union_all(
        *(
            sa.select(
                sa.literal_column(str(place), sa.Integer),
                sa.func.count(),
                sa.func.sum(sa.cast(predictions.c.uncertain, sa.Integer)),
                sa.func.sum(predictions.c.confidence),
            ).where(
                predictions.c.model_version == sa.bindparam("model"),
                predictions.c.predicted == sa.bindparam("label"),
                predictions.c.created_at >= sa.bindparam(f"bound_{place}"),
                predictions.c.created_at < sa.bindparam(f"bound_{place + 1}"),
            )
            for place in range(stretches)
        )
    )


def _feedback(since: datetime, until: datetime, width: int, is_sqlite: bool) -> sa.Select[int, bool, int]:
    """By stretch: how many answers were given feedback whose newest label `agrees` with the model, and how many not.

    It is neither where there is no such answer.
    """
    moment, later = feedback.c.created_at, feedback.alias()
    replaced = sa.exists().where(
        later.c.prediction_id == feedback.c.prediction_id,
        sa.tuple_(later.c.created_at, later.c.feedback_id) > sa.tuple_(moment, feedback.c.feedback_id),
    )
    # Looked up one by one: PostgreSQL would rather read all answers, of which there are far more.
    predicted = sa.select(predictions.c.predicted).where(predictions.c.prediction_id == feedback.c.prediction_id)
    seconds = sa.type_coerce(moment, sa.Double) if is_sqlite else sa.func.floor(sa.extract("epoch", moment))
    keys = (
        (sa.cast(seconds, sa.BigInteger) // width).label("bucket"),
        (feedback.c.label == predicted.scalar_subquery()).label("agrees"),
    )
    counted = sa.select(*keys, sa.func.count().label("rows")).group_by(*keys)
    return counted.where(moment >= since, moment < until, ~replaced)


def _means(since: datetime, until: datetime) -> sa.Select[Any]:
    """Means of what the index does not have, over the newest rows."""
    columns = [predictions.c[name] for name in _MEANS]
    newest = sa.select(*columns).where(within(since, until)).order_by(predictions.c.created_at.desc()).limit(_NEWEST)
    rows = newest.subquery()
    return sa.select(*(sa.func.avg(rows.c[name]).label(name) for name in _MEANS))


def _timeline(
    first: int, width: int, labels: list[str], counts: NDArray[np.float64], remarks: dict[tuple[int, bool | None], int]
) -> list[TimeBucket]:
    """The stretches of L classes with their counts, `[L, B, 3]`; the first begins at `first * width`.

    `remarks` are the feedback by place of the stretch and whether it agrees.
    """
    return [
        TimeBucket(
            start=datetime.fromtimestamp((first + place) * width, UTC),
            classes={label: int(rows) for label, rows in zip(labels, counts[:, place, 0], strict=True) if rows},
            feedback=remarks.get((place, True), 0) + remarks.get((place, False), 0),
            feedback_agrees=remarks.get((place, True), 0),
            **_tally(counts[:, place]),
        )
        for place in range(counts.shape[1])
    ]


def _tally(counts: NDArray[np.float64]) -> dict[str, Any]:
    """Counts of any shape `[..., 3]`, added up."""
    count, uncertain, confidence = counts.reshape(-1, 3).sum(axis=0).tolist()
    mean = confidence / count if count else 0.0
    return {"count": int(count), "uncertain": int(uncertain), "mean_confidence": mean}


def _models(answers: Sequence[_Answers]) -> list[ModelCount]:
    models = []
    for name, group in groupby(answers, lambda each: each.model):
        own = list(group)
        count = sum(int(each.counts[:, 0].sum()) for each in own)
        first, last = min(each.first for each in own), max(each.last for each in own)
        models.append(ModelCount(model_version=name, count=count, first=first, last=last))
    return sorted(models, key=lambda model: model.first)
