"""What the log holds of a stretch of time, counted in the database; fast also over millions of rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from mlopsproject.core.image_statistics import STATISTICS
from mlopsproject.core.schemas import ClassCount, ModelCount, Stats, TimeBucket
from mlopsproject.prediction_log.database import Database
from mlopsproject.prediction_log.queries import within
from mlopsproject.prediction_log.tables import feedback, predictions, whole_seconds

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
Key = TypeVar("Key", bound=Hashable)


class _Cell(NamedTuple):
    """Answers of one model that name one class, within one stretch of the timeline."""

    model: str
    label: str
    bucket: int
    rows: int
    uncertain: int
    confidence: float


@dataclass
class _Tally:
    """Cells added up."""

    count: int = 0
    uncertain: int = 0
    confidence: float = 0.0

    @property
    def mean(self) -> float:
        return self.confidence / self.count if self.count else 0.0


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
        cells = [cell for key in keys for cell in _cells(connection, key, bounds)]
        given = connection.execute(_feedback(since, until, width)).all()
        means = connection.execute(_means(since, until)).mappings().one()
    total = _add(cells, lambda _: None).get(None, _Tally())
    timeline = _timeline(cells, given, len(bounds) - 1, int(since.timestamp() // width), width)
    return Stats(
        since=since,
        until=until,
        total=total.count,
        uncertain=total.uncertain,
        mean_confidence=total.mean if total.count else None,
        mean_latency_ms=means["latency_ms"],
        classes=_classes(cells),
        timeline=timeline,
        models=_models(cells, keys),
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


def _cells(connection: Connection, key: Row[Any], bounds: Sequence[datetime]) -> list[_Cell]:
    """What one model answered with one class, by stretch."""
    moments = {f"bound_{number}": moment for number, moment in enumerate(bounds)}
    query = _counts(len(bounds) - 1)
    found = connection.execute(query, {"model": key.model, "label": key.label, **moments})
    return [_Cell(key.model, key.label, *row) for row in found if row.rows]


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


def _feedback(since: datetime, until: datetime, width: int) -> Select[int, bool, int]:
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
    keys = (
        (whole_seconds(feedback.c.created_at) // width).label("bucket"),
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


def _add(cells: Iterable[_Cell], key: Callable[[_Cell], Key]) -> dict[Key, _Tally]:
    tallies: dict[Key, _Tally] = {}
    for cell in cells:
        tally = tallies.setdefault(key(cell), _Tally())
        tally.count += cell.rows
        tally.uncertain += cell.uncertain
        tally.confidence += cell.confidence
    return tallies


def _classes(cells: Iterable[_Cell]) -> list[ClassCount]:
    return [
        ClassCount(label=label, count=tally.count, uncertain=tally.uncertain, mean_confidence=tally.mean)
        for label, tally in sorted(_add(cells, lambda cell: cell.label).items())
    ]


def _models(cells: Iterable[_Cell], keys: Sequence[Row[Any]]) -> list[ModelCount]:
    counted = _add(cells, lambda cell: cell.model)
    models = [
        ModelCount(
            model_version=name,
            count=tally.count,
            first=min(key.first for key in keys if key.model == name),
            last=max(key.last for key in keys if key.model == name),
        )
        for name, tally in counted.items()
    ]
    return sorted(models, key=lambda model: (model.first, model.model_version))


def _timeline(
    cells: Sequence[_Cell], given: Iterable[Row[int, bool, int]], stretches: int, first: int, width: int
) -> list[TimeBucket]:
    """Every stretch, those without answers as well; they begin at round times.

    Args:
        cells: numbered from the first stretch on.
        given: feedback, numbered from 1970 on.
        stretches: how many there are.
        first: number of the first one, from 1970 on.
        width: of a stretch, in seconds.
    """
    tallies, labels = _add(cells, lambda cell: cell.bucket), _add(cells, lambda cell: (cell.bucket, cell.label))
    classes: dict[int, dict[str, int]] = {}
    for (bucket, label), tally in sorted(labels.items()):
        classes.setdefault(bucket, {})[label] = tally.count
    remarks = {(row.bucket - first, row.agrees): row.rows for row in given}
    return [
        TimeBucket(
            start=datetime.fromtimestamp((first + number) * width, UTC),
            count=tally.count,
            uncertain=tally.uncertain,
            mean_confidence=tally.mean,
            classes=classes.get(number, {}),
            feedback=sum(remarks.get((number, agrees), 0) for agrees in (True, False)),
            feedback_agrees=remarks.get((number, True), 0),
        )
        for number in range(stretches)
        for tally in [tallies.get(number, _Tally())]
    ]
