"""What the database can be asked."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    ScalarSelect,
    Select,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    true,
)

from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.schemas import ClassCount, Stats, TimeBucket
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.rows import PredictionRow
from mlopsproject.prediction_log.tables import feedback, predictions, to_prediction, whole_seconds

#: Lengths that a stretch of the timeline may have, in seconds.
_WIDTHS: Final = (1, 5, 10, 30, 60, 300, 600, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000)
#: Stretches of a timeline, but for one that is cut at either end.
_BUCKETS: Final = 60
_MEANS: Final = ("confidence", "latency_ms", *STATISTICS)


def within(since: datetime | None, until: datetime | None, model_version: str | None = None) -> ColumnElement[bool]:
    """The condition on `predictions` that `since <= created_at < until`, and the model is the one named, if any."""
    conditions: list[ColumnElement[bool]] = [true()]
    if since is not None:
        conditions.append(predictions.c.created_at >= since)
    if until is not None:
        conditions.append(predictions.c.created_at < until)
    if model_version is not None:
        conditions.append(predictions.c.model_version == model_version)
    return and_(*conditions)


def latest_label() -> ScalarSelect[str]:
    """The newest feedback to a row of `predictions`."""
    return (
        select(feedback.c.label)
        .where(feedback.c.prediction_id == predictions.c.prediction_id)
        .order_by(feedback.c.created_at.desc(), feedback.c.feedback_id.desc())
        .limit(1)
        .scalar_subquery()
    )


def find(database: Database, prediction_id: str) -> PredictionRow | None:
    """The row of an answer.

    Raises:
        LogUnavailable: if the database cannot be asked.
    """
    query = select(predictions).where(predictions.c.prediction_id == prediction_id)
    with database.transaction() as connection:
        record = connection.execute(query).mappings().one_or_none()
    return to_prediction(dict(record)) if record is not None else None


class _Tally:
    """Counts and sums over groups of rows."""

    def __init__(self) -> None:
        self.count = 0
        self.uncertain = 0
        self._sums = dict.fromkeys(_MEANS, 0.0)

    def add(self, group: Row[Any]) -> None:
        values = group._mapping
        self.count += values["rows"]
        self.uncertain += values["uncertain"]
        for name in _MEANS:
            self._sums[name] += values[name]

    def mean(self, name: str) -> float:
        return self._sums[name] / self.count if self.count else 0.0


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
    total, models = _Tally(), defaultdict[str, int](int)
    classes, buckets = defaultdict[str, _Tally](_Tally), defaultdict[int, _Tally](_Tally)
    with database.transaction() as connection:
        for group in _groups(connection, since, until, width):
            for tally in (total, classes[group.predicted], buckets[group.bucket]):
                tally.add(group)
            models[group.model_version] += group.rows
        given, agrees = connection.execute(_feedback(since, until)).one()
    return Stats(
        since=since,
        until=until,
        total=total.count,
        uncertain=total.uncertain,
        mean_confidence=total.mean("confidence") if total.count else None,
        mean_latency_ms=total.mean("latency_ms") if total.count else None,
        classes=[_class_count(label, tally) for label, tally in sorted(classes.items())],
        timeline=_timeline(buckets, since, until, width),
        models=dict(models),
        feedback=given,
        feedback_agrees=agrees or 0,
        statistics={name: total.mean(name) for name in STATISTICS} if total.count else {},
        pending=pending,
    )


def _class_count(label: str, tally: _Tally) -> ClassCount:
    mean = tally.mean("confidence")
    return ClassCount(label=label, count=tally.count, uncertain=tally.uncertain, mean_confidence=mean)


def bucket_width(since: datetime, until: datetime) -> int:
    """Length of the timeline's stretches, in seconds: the shortest usual one that makes no more than 60 of them."""
    seconds = (until - since).total_seconds()
    return next((width for width in _WIDTHS if seconds <= width * _BUCKETS), int(seconds / _BUCKETS) + 1)


def _groups(connection: Connection, since: datetime, until: datetime, width: int) -> Sequence[Row[Any]]:
    """Counts and sums by stretch, class and model: one pass over the rows gives all that there is to tell."""
    keys = (
        (whole_seconds(predictions.c.created_at) // width).label("bucket"),
        predictions.c.predicted,
        predictions.c.model_version,
    )
    query = select(
        *keys,
        func.count().label("rows"),
        func.sum(cast(predictions.c.uncertain, Integer)).label("uncertain"),
        *(func.sum(predictions.c[name]).label(name) for name in _MEANS),
    )
    return connection.execute(query.where(within(since, until)).group_by(*keys)).all()


def _feedback(since: datetime, until: datetime) -> Select[int, int]:
    """How many answers were given feedback meanwhile, and how often the newest of it agrees with the model."""
    later = feedback.alias()
    is_newer = or_(
        later.c.created_at > feedback.c.created_at,
        and_(later.c.created_at == feedback.c.created_at, later.c.feedback_id > feedback.c.feedback_id),
    )
    replaced = exists().where(later.c.prediction_id == feedback.c.prediction_id, is_newer)
    agrees = func.sum(cast(feedback.c.label == predictions.c.predicted, Integer))
    joined = feedback.join(predictions, predictions.c.prediction_id == feedback.c.prediction_id)
    given = and_(feedback.c.created_at >= since, feedback.c.created_at < until)
    return select(func.count(), agrees).select_from(joined).where(given, ~replaced)


def _timeline(buckets: dict[int, _Tally], since: datetime, until: datetime, width: int) -> list[TimeBucket]:
    """Every stretch, those without answers as well; they begin at round times."""
    first, last = int(since.timestamp() // width), int(until.timestamp() // width)
    numbers = itertools.chain(range(first, last), [last] if until.timestamp() > last * width else [])
    return [
        TimeBucket(
            start=datetime.fromtimestamp(number * width, UTC),
            count=tally.count,
            uncertain=tally.uncertain,
            mean_confidence=tally.mean("confidence"),
        )
        for number in numbers
        for tally in [buckets.get(number, _Tally())]
    ]
