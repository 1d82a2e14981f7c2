"""What the log holds of a stretch of time, counted in the database; fast also over millions of rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    Double,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    extract,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)

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


def stats(database: Database, since: datetime, until: datetime, pending: int) -> Stats:
    """What the log holds of a stretch of time.

    Args:
        database: to ask.
        since: beginning, with a time zone.
        until: end, not included, with a time zone.
        pending: rows that the database does not have yet.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    width = bucket_width(since, until)
    bounds = _bounds(since, until, width)
    with database.transaction() as connection:
        keys = connection.execute(_keys(since, until)).all()
        counted = _count(connection, keys, bounds)
        given = connection.execute(_feedback(since, until, width, database.is_sqlite)).all()
        means = connection.execute(_means(since, until)).mappings().one()
    labels = _places(keys, "label")
    first = int(since.timestamp() // width)
    remarks = {(row.bucket - first, row.agrees): row.rows for row in given}
    timeline = [
        TimeBucket(
            start=datetime.fromtimestamp((first + number) * width, UTC),
            classes={label: int(rows) for label, of in labels if (rows := counted[of, number, 0].sum())},
            feedback=remarks.get((number, True), 0) + remarks.get((number, False), 0),
            feedback_agrees=remarks.get((number, True), 0),
            **_tally(counted[:, number]),
        )
        for number in range(len(bounds) - 1)
    ]
    total = _tally(counted)
    return Stats(
        since=since,
        until=until,
        total=total["count"],
        uncertain=total["uncertain"],
        mean_confidence=total["mean_confidence"] if total["count"] else None,
        mean_latency_ms=means["latency_ms"],
        classes=[ClassCount(label=label, **_tally(counted[of])) for label, of in labels],
        timeline=timeline,
        models=_models(keys, counted),
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
    rounds = itertools.count(int(since.timestamp() // width) + 1)
    inner = itertools.takewhile(lambda seconds: seconds < until.timestamp(), (number * width for number in rounds))
    return [since, *(datetime.fromtimestamp(seconds, UTC) for seconds in inner), until]


def _keys(since: datetime, until: datetime) -> Select[Any]:
    """Each model with each class that it named, and its first and last answer that did.

    Goes from one to the next through the index, where a DISTINCT would read it from end to end.
    """
    model, label, created_at = predictions.c.model_version, predictions.c.predicted, predictions.c.created_at
    models = select(func.min(model).label("model")).cte("models", recursive=True)
    following = select(func.min(model)).where(model > models.c.model).scalar_subquery()
    models = models.union_all(select(following).where(models.c.model.is_not(None)))
    smallest = select(func.min(label)).where(model == models.c.model).scalar_subquery()
    first = select(models.c.model, smallest.label("label")).where(models.c.model.is_not(None))
    keys = first.cte("keys", recursive=True)
    following = select(func.min(label)).where(model == keys.c.model, label > keys.c.label).scalar_subquery()
    keys = keys.union_all(select(keys.c.model, following).where(keys.c.label.is_not(None)))
    own = and_(model == keys.c.model, label == keys.c.label, within(since, until))
    ends = (
        select(function(created_at)).where(own).scalar_subquery().label(name)
        for name, function in (("first", func.min), ("last", func.max))
    )
    found = select(keys, *ends).where(keys.c.label.is_not(None)).subquery()
    return select(found).where(found.c.first.is_not(None))


def _count(connection: Connection, keys: Sequence[Row[Any]], bounds: Sequence[datetime]) -> NDArray[np.float64]:
    """Answers, uncertain answers and the sum of confidences: `[K, B, 3]` for K keys and B stretches."""
    counted = np.zeros((len(keys), len(bounds) - 1, 3))
    moments = {f"bound_{number}": moment for number, moment in enumerate(bounds)}
    for key, of_key in zip(keys, counted, strict=True):
        found = connection.execute(_counts(len(of_key)), {"model": key.model, "label": key.label, **moments})
        for bucket, *values in found:
            of_key[bucket] = [value or 0 for value in values]
    return counted


@cache
def _counts(stretches: int) -> CompoundSelect[Any]:
    """Counts and sums of one model and class in each of some stretches.

    Every stretch is a range of the index. For a GROUP BY, SQLite would sort all rows, which takes six times as long.
    """
    uncertain = cast(predictions.c.uncertain, Integer)
    return union_all(
        *(
            select(
                literal_column(str(number), Integer).label("bucket"),
                func.count().label("rows"),
                func.sum(uncertain).label("uncertain"),
                func.sum(predictions.c.confidence).label("confidence"),
            ).where(
                predictions.c.model_version == bindparam("model"),
                predictions.c.predicted == bindparam("label"),
                predictions.c.created_at >= bindparam(f"bound_{number}"),
                predictions.c.created_at < bindparam(f"bound_{number + 1}"),
            )
            for number in range(stretches)
        )
    )


def _feedback(since: datetime, until: datetime, width: int, is_sqlite: bool) -> Select[int, bool, int]:
    """By stretch: how many answers were given feedback whose newest label `agrees` with the model, and how many not.

    It is neither where there is no such answer.
    """
    later = feedback.alias()
    is_newer = or_(
        later.c.created_at > feedback.c.created_at,
        and_(later.c.created_at == feedback.c.created_at, later.c.feedback_id > feedback.c.feedback_id),
    )
    replaced = exists().where(later.c.prediction_id == feedback.c.prediction_id, is_newer)
    # Looked up one by one: PostgreSQL would rather read all answers, of which there are far more.
    predicted = select(predictions.c.predicted).where(predictions.c.prediction_id == feedback.c.prediction_id)
    moment = feedback.c.created_at
    seconds = type_coerce(moment, Double) if is_sqlite else func.floor(extract("epoch", moment))
    keys = (
        (cast(seconds, BigInteger) // width).label("bucket"),
        (feedback.c.label == predicted.scalar_subquery()).label("agrees"),
    )
    meanwhile = and_(feedback.c.created_at >= since, feedback.c.created_at < until)
    return select(*keys, func.count().label("rows")).where(meanwhile, ~replaced).group_by(*keys)


def _means(since: datetime, until: datetime) -> Select[Any]:
    """Means of what the index does not have, over the newest rows."""
    columns = [predictions.c[name] for name in _MEANS]
    newest = select(*columns).where(within(since, until)).order_by(predictions.c.created_at.desc()).limit(_NEWEST)
    rows = newest.subquery()
    return select(*(func.avg(rows.c[name]).label(name) for name in _MEANS))


def _places(keys: Sequence[Row[Any]], name: str) -> list[tuple[str, list[int]]]:
    """Each model, or label, of the keys in the order of the alphabet, with the places where it stands."""
    values = [getattr(key, name) for key in keys]
    return [(value, [place for place, other in enumerate(values) if other == value]) for value in sorted({*values})]


def _tally(counted: NDArray[np.float64]) -> dict[str, Any]:
    """Counts of any shape `[..., 3]`, added up."""
    count, uncertain, confidence = counted.reshape(-1, 3).sum(axis=0).tolist()
    mean = confidence / count if count else 0.0
    return {"count": int(count), "uncertain": int(uncertain), "mean_confidence": mean}


def _models(keys: Sequence[Row[Any]], counted: NDArray[np.float64]) -> list[ModelCount]:
    models = [
        ModelCount(
            model_version=name,
            count=int(counted[places, :, 0].sum()),
            first=min(keys[place].first for place in places),
            last=max(keys[place].last for place in places),
        )
        for name, places in _places(keys, "model")
    ]
    return sorted(models, key=lambda model: model.first)
