"""The third page: what the service answered lately, whether that has changed, and the model that answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from mlopsproject.core.schemas import ClassCount, Stats
from mlopsproject.frontend import charts, drift_panel, parts, session, theme, time_charts
from mlopsproject.frontend.client import ApiError
from mlopsproject.frontend.model_facts import ModelFacts

_SPANS = {
    "Hour": timedelta(hours=1),
    "Day": timedelta(days=1),
    "Week": timedelta(days=7),
    "Month": timedelta(days=30),
    "Quarter": timedelta(days=91),
}
#: Seconds between two looks: at a day or less, at more, which changes slowly, and at the drift reports.
_REFRESH, _SLOW, _DRIFT = 5, 30, 60


def page() -> None:
    """Draw the page."""
    parts.heading("Monitoring", "What the service answered, of everybody, and whether that changes.")
    span = st.segmented_control("The last", list(_SPANS), default="Day", required=True, key="span") or "Day"
    refresh = _REFRESH if _SPANS[span] <= timedelta(days=1) else _SLOW
    info = session.model()
    facts = ModelFacts.of(info) if info else None
    st.fragment(_live, run_every=refresh)(_SPANS[span], facts.classes if facts else (), refresh)
    st.fragment(drift_panel.show, run_every=_DRIFT)()
    st.fragment(drift_panel.show_page)()
    if facts:
        _model(facts)


def _live(span: timedelta, classes: Sequence[str], refresh: int) -> None:
    """The part that is drawn anew by itself."""
    now = datetime.now(UTC)
    try:
        # With both ends the stretch is no longer than its name says, and cut as finely as it can be.
        stats = session.client().stats(now - span, now)
    except ApiError as error:
        parts.problem(error)
        return
    _figures(stats)
    if not stats.total or not stats.timeline:
        with st.container(border=True, key="empty"):
            st.markdown("### Nothing yet")
            st.markdown("No picture was recognised in this stretch of time. Recognise one and come back.")
    else:
        _over_time(stats, [entry.label for entry in _ordered(stats.classes, classes)])
        _in_all(stats, classes)
    st.caption(f"As of {now:%H:%M:%S} UTC, as all times here; drawn anew every {refresh} seconds.")


def _figures(stats: Stats) -> None:
    agreement = charts.percent(stats.feedback_agrees / stats.feedback) if stats.feedback else "none yet"
    uncertain = charts.percent(stats.uncertain / stats.total) if stats.total else "–"
    confidence = charts.percent(stats.mean_confidence) if stats.mean_confidence is not None else "–"
    latency = f"{stats.mean_latency_ms:.1f} ms" if stats.mean_latency_ms is not None else "–"
    rows = [
        ("Faces answered", f"{stats.total:,}", "Each face of a picture counts."),
        ("Uncertain", uncertain, "Answers below the model's threshold; they count as no answer."),
        ("Mean confidence", confidence, "Mean probability of the answers."),
        ("Feedback agrees", agreement, f"{stats.feedback_agrees:,} of {stats.feedback:,} remarks name the answer."),
        (
            "Mean latency",
            latency,
            "From a picture's arrival to its answer, in the service; of the newest 1,000 answers.",
        ),
        ("Rows pending", f"{stats.pending:,}", "Answers that are safe on disk and not yet in the database."),
    ]
    with st.container(horizontal=True, key="figures"):
        for label, value, explanation in rows:
            st.metric(label, value, help=explanation, border=True)


def _over_time(stats: Stats, classes: Sequence[str]) -> None:
    colours = theme.palette()
    for column, title, chart in zip(
        st.columns(2, gap="large"),
        ("Answers", "Shares of the expressions"),
        (time_charts.timeline(stats, colours), time_charts.shares(stats, classes, colours)),
        strict=True,
    ):
        with column:
            st.markdown(f"### {title}")
            st.altair_chart(chart, alt=f"{title} over time")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("### Confidence and doubt")
        st.altair_chart(time_charts.quality(stats, colours), alt="Mean confidence and uncertain answers over time")
    with right:
        st.markdown("### Agreement of feedback")
        if stats.feedback:
            st.altair_chart(time_charts.agreement(stats, colours), alt="Agreement of feedback over time")
            labels = f"{stats.feedback_agrees:,} of {stats.feedback:,} labels name what the model said."
            st.caption(f"{labels} Who gives feedback chooses the faces, so that it is no accuracy.")
        else:
            st.markdown("Nobody said in this stretch of time what a face looks like to them.")


def _in_all(stats: Stats, classes: Sequence[str]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("### By expression")
        st.altair_chart(charts.counts(_ordered(stats.classes, classes), theme.palette()), alt="Answers by expression")
    with right:
        st.markdown("### Models that answered")
        st.markdown(
            "\n".join(
                f"- {parts.plain(model.model_version)}: **{model.count:,}**, from {_moment(model.first)} to "
                f"{_moment(model.last)}"
                for model in stats.models
            )
        )
        st.markdown("### The newest faces, on average")
        means = [f"- {parts.plain(name)}: **{value:.2f}**" for name, value in stats.statistics.items()]
        st.markdown("\n".join(means))
        st.caption("As the model sees them, each on a scale from 0 to 1.")


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %H:%M}"


def _ordered(counts: Sequence[ClassCount], classes: Sequence[str]) -> list[ClassCount]:
    """The counts in the model's order, with those classes that nobody showed, then those of other models."""
    known = {entry.label: entry for entry in counts}
    none = [ClassCount(label=name, count=0, uncertain=0, mean_confidence=0) for name in classes]
    return [known.pop(entry.label, entry) for entry in none] + list(known.values())


def _model(facts: ModelFacts) -> None:
    """The model card's headline."""
    with st.container(border=True, key="model"):
        st.markdown("### The model that answers now")
        names = ", ".join(parts.plain(name) for name in facts.classes)
        st.markdown(f"{parts.plain(facts.version)}, {parts.plain(facts.precision)}. It knows {names or 'no class'}.")
        figures = [
            ("Accuracy", facts.accuracy, "Share of test pictures whose label it gives."),
            ("Macro F1", facts.macro_f1, "Mean over the classes, each counting the same."),
            ("Calibration error", facts.calibration_error, "How far its probabilities are from the truth, on average."),
            ("Threshold", facts.threshold, "Answers below this are uncertain."),
        ]
        with st.container(horizontal=True):
            for label, value, explanation in figures:
                st.metric(label, "–" if value is None else charts.percent(value), help=explanation)
        st.caption(_origin(facts))


def _origin(facts: ModelFacts) -> str:
    text = []
    if facts.test_pictures is not None and facts.data:
        text.append(f"Measured on {facts.test_pictures:,} test pictures of {parts.plain(facts.data)}")
    if facts.training_pictures is not None:
        text.append(f"trained on {facts.training_pictures:,}")
    if facts.parameters is not None:
        text.append(f"{facts.parameters:,} parameters")
    return ", ".join(text) + "." * bool(text)
