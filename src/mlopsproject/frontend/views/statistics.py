"""The third page: what the service answered lately, and the model that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import streamlit as st

from mlopsproject.core.schemas import ClassCount, Stats
from mlopsproject.frontend import charts, parts, session, theme
from mlopsproject.frontend.client import ApiError
from mlopsproject.frontend.model_facts import ModelFacts

_SPANS = {
    "Hour": timedelta(hours=1),
    "Day": timedelta(days=1),
    "Week": timedelta(days=7),
    "Month": timedelta(days=30),
}
#: Seconds between two looks.
_REFRESH = 5


def page() -> None:
    """Draw the page."""
    parts.heading("Statistics", "What the service answered, of everybody and without pictures.")
    span = st.segmented_control("The last", list(_SPANS), default="Day", required=True, key="span") or "Day"
    info = session.model()
    facts = ModelFacts.of(info) if info else None
    st.fragment(_live, run_every=_REFRESH)(_SPANS[span], facts.classes if facts else ())
    if facts:
        _model(facts)


def _live(span: timedelta, classes: Sequence[str]) -> None:
    """The part that is drawn anew by itself."""
    try:
        stats = session.client().stats(datetime.now(UTC) - span)
    except ApiError as error:
        parts.problem(error)
        return
    _figures(stats)
    if not stats.total or not stats.timeline:
        with st.container(border=True, key="empty"):
            st.markdown("### Nothing yet")
            st.markdown("No picture was recognised in this stretch of time. Recognise one and come back.")
    else:
        _charts(stats, classes)
    moment = datetime.now(UTC).strftime("%H:%M:%S")
    st.caption(f"As of {moment} UTC; drawn anew every {_REFRESH} seconds.")


def _figures(stats: Stats) -> None:
    agreement = charts.percent(stats.feedback_agrees / stats.feedback) if stats.feedback else "none yet"
    uncertain = charts.percent(stats.uncertain / stats.total) if stats.total else "–"
    confidence = charts.percent(stats.mean_confidence) if stats.mean_confidence is not None else "–"
    latency = f"{stats.mean_latency_ms:.1f} ms" if stats.mean_latency_ms is not None else "–"
    rows = [
        ("Faces answered", f"{stats.total:,}", "Each face of a picture counts."),
        ("Uncertain", uncertain, "Answers below the model's threshold; they count as no answer."),
        ("Mean confidence", confidence, "Mean probability of the answers."),
        ("Mean latency", latency, "From the arrival of a picture to its answer, in the service."),
        ("Feedback agrees", agreement, f"{stats.feedback_agrees:,} of {stats.feedback:,} remarks name the answer."),
        ("Rows pending", f"{stats.pending:,}", "Answers that are safe on disk and not yet in the database."),
    ]
    with st.container(horizontal=True, key="figures"):
        for label, value, explanation in rows:
            st.metric(label, value, help=explanation, border=True)


def _charts(stats: Stats, classes: Sequence[str]) -> None:
    colours = theme.palette()
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("### By expression")
        st.altair_chart(charts.counts(_ordered(stats.classes, classes), colours), alt="Answers by expression")
    with right:
        st.markdown("### Over time")
        st.altair_chart(charts.timeline(stats.timeline, colours), alt="Answers over time")
    with left:
        st.markdown("### Models that answered")
        lines = [f"- {parts.plain(name)}: **{count:,}**" for name, count in _by_count(stats.models)]
        st.markdown("\n".join(lines))
    with right:
        st.markdown("### The faces, on average")
        means = [f"- {parts.plain(name)}: **{value:.2f}**" for name, value in stats.statistics.items()]
        st.markdown("\n".join(means))
        st.caption("As the model sees them, each on a scale from 0 to 1.")


def _by_count(models: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(models.items(), key=lambda item: -item[1])


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
