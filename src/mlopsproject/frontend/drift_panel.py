"""The part of the monitoring page on drift: the newest report about the model that answers, and those before it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import pandas as pd
import streamlit as st
from PIL import Image

from mlopsproject.core.commands import job_command
from mlopsproject.core.schemas import ColumnDrift, DriftEntry, DriftReport, Performance
from mlopsproject.frontend import parts, report_frame, session, theme, time_charts
from mlopsproject.frontend.charts import percent
from mlopsproject.frontend.client import ApiError

#: Reports that are looked back at.
_HISTORY: Final = 60
#: Of the session: the id of the report that is shown.
_SHOWN: Final = "drift_report_shown"
_SIGNS: Final = {
    "ok": ":green[:material/check_circle:]",
    "drift": ":orange[:material/warning:]",
    "not_enough_data": ":gray[:material/hourglass_empty:]",
}
_PERFORMANCE: Final = {
    "ok": (":green[:material/check_circle:]", "As accurate as on test"),
    "decay": (":orange[:material/warning:]", "Less accurate than on test"),
    "not_enough_data": (":gray[:material/hourglass_empty:]", "Too few labels to tell"),
    "chosen_labels": (":gray[:material/help:]", "Labels that were chosen"),
}
_SOURCES: Final = {"feedback": "feedback", "dataset": "the data set's labels"}


def show() -> None:
    """Draw the part; what the service does not say is told in its place."""
    st.markdown("### Do the faces still look like those that the model knows?")
    try:
        report = session.client().drift()
        entries = session.client().drift_history(_HISTORY)
    except ApiError as error:
        parts.problem(error)
        return
    st.session_state[_SHOWN] = None
    if report is None:
        _nothing_yet()
    else:
        st.session_state[_SHOWN] = identifier = _identifier(report, entries)
        _newest(report, identifier)
    if entries:
        _history(entries)


def show_page() -> None:
    """Draw the full report that `show` speaks of, some megabytes, for those who ask for it.

    It is a part of its own, so that it is not sent again whenever `show` looks for a newer report.
    """
    identifier: str | None = st.session_state.get(_SHOWN)
    if identifier is None or not st.toggle("Show the newest report in full", key="full-report"):
        return
    try:
        content = session.drift_file(identifier, "report")
    except ApiError as error:
        if error.status == 404:
            st.caption("This report has no page: there was not enough data to compare.")
        else:
            parts.problem(error)
        return
    st.download_button("Download the report", content, f"drift-{identifier}.html", "text/html", on_click="ignore")
    report_frame.show(identifier, content)


def _nothing_yet() -> None:
    with st.container(border=True, key="no-drift-report"):
        st.markdown("**No drift report about this model yet**")
        st.markdown("Whoever runs the service compares its answers with the faces that the model was made for:")
        st.code(job_command("drift", "current=log", "since=7d"), language="bash")


def _identifier(report: DriftReport, entries: Sequence[DriftEntry]) -> str | None:
    """The id of a report, which names its files; nothing if many others came after it."""
    same = (entry.id for entry in entries if entry.report.bundle == report.bundle)
    times = {entry.id: entry.report.created_at for entry in entries}
    return next((identifier for identifier in same if times[identifier] == report.created_at), None)


def _newest(report: DriftReport, identifier: str | None) -> None:
    with st.container(border=True, key="drift"):
        st.markdown(f"#### {_SIGNS[report.verdict]} {headline(report)}")
        st.markdown(explanation(report))
        moved = [column for column in report.columns if column.drifted]
        st.markdown("\n".join(f"- **{parts.plain(column.column)}**: {movement(column)}" for column in moved))
        st.caption(_origin(report))
        if report.performance is not None:
            _performance(report.performance)
        if identifier is not None:
            _picture(identifier)
        if report.columns:
            with st.expander("All columns"):
                _columns(report.columns)


def headline(report: DriftReport) -> str:
    """The verdict in a few words.

    Args:
        report: that has it.
    """
    if report.verdict == "not_enough_data":
        return "Not enough data to tell"
    return "Drift: the faces look different" if report.verdict == "drift" else "No drift"


def explanation(report: DriftReport) -> str:
    """What the verdict rests on, in a sentence.

    Args:
        report: that has it.
    """
    if report.verdict == "not_enough_data":
        return (
            f"{report.current_rows:,} different faces were there to compare; at least {report.min_rows:,} are needed."
        )
    moved = sum(column.drifted for column in report.columns)
    if not moved:
        return f"None of {len(report.columns)} columns moved by more than chance and a little."
    return f"{moved} of {len(report.columns)} columns moved, further than chance and by enough to matter:"


def movement(column: ColumnDrift) -> str:
    """How far a column moved, in words.

    Args:
        column: of a report.
    """
    gap = f"{percent(column.distance)} of the faces apart"
    if "mean" in column.reference and "mean" in column.current:
        return f"{gap}, mean {column.reference['mean']:.3g} → {column.current['mean']:.3g}"
    change = _largest_change(column.reference, column.current)
    if change is None:
        return gap
    return f"{gap}, most of all {parts.plain(change)}"


def _largest_change(reference: Mapping[str, float], current: Mapping[str, float]) -> str | None:
    names = sorted(reference.keys() | current.keys())
    if not names or "mean" in names:
        return None
    name = max(names, key=lambda each: abs(current.get(each, 0) - reference.get(each, 0)))
    return f"{name} {percent(reference.get(name, 0))} → {percent(current.get(name, 0))}"


def _origin(report: DriftReport) -> str:
    source = {"log": "the prediction log", "pictures": "pictures", "dataset": "a data set"}[report.source]
    span = f" since {_day(report.since)}" if report.since else ""
    return (
        f"Report of {_day(report.created_at)} UTC: {report.current_rows:,} faces of {source}{span} against "
        f"{report.reference_rows:,} that the model {parts.plain(report.bundle)} was validated on. "
        f"A false alarm has a chance of {percent(report.alpha)}."
    )


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M}"


def _performance(performance: Performance) -> None:
    sign, words = _PERFORMANCE[performance.verdict]
    st.markdown(f"#### {sign} {words}")
    figures = [("Labels", f"{performance.labels:,}", f"From {_SOURCES[performance.source]}; one per face.")]
    if performance.accuracy is not None:
        figures.append(("Accuracy", percent(performance.accuracy), "Share of labels that the model had given, too."))
    if performance.low is not None and performance.high is not None:
        certainty = f"With {percent(performance.confidence)} certainty, as far as chance goes."
        figures.append(("Between", f"{100 * performance.low:.1f} – {percent(performance.high)}", certainty))
    lowest = f"{percent(performance.margin)} less than this counts as decay."
    figures.append(("On test", percent(performance.baseline), lowest))
    with st.container(horizontal=True, key="performance"):
        for label, value, explained in figures:
            st.metric(label, value, help=explained)
    st.caption(parts.plain(performance.note))


def _columns(columns: Sequence[ColumnDrift]) -> None:
    table = pd.DataFrame(
        [
            {
                "column": column.column,
                "moved": "yes" if column.drifted else "no",
                "apart": 100 * column.distance,
                "needed": 100 * column.min_distance,
                "p-value": column.p_value,
                "below": column.threshold,
                "reference": _summary(column.reference),
                "now": _summary(column.current),
                "test": column.test,
            }
            for column in columns
        ]
    )
    share, small = st.column_config.NumberColumn(format="%.1f %%"), st.column_config.NumberColumn(format="%.2g")
    st.dataframe(
        table,
        hide_index=True,
        column_config={"apart": share, "needed": share, "p-value": small, "below": small},
    )
    st.caption("A column has moved if its p-value is below the threshold and the two sides are as far apart as needed.")


def _summary(values: Mapping[str, float]) -> str:
    if "mean" in values:
        return f"{values['mean']:.3g} ± {values.get('sd', 0):.2g}"
    return ", ".join(f"{name} {percent(share)}" for name, share in values.items())


def _picture(identifier: str) -> None:
    try:
        content = session.drift_file(identifier, "picture")
    except ApiError as error:
        # Reports on too little data have none.
        if error.status != 404:
            parts.problem(error)
        return
    try:
        Image.open(io.BytesIO(content)).verify()
    except (OSError, ValueError, SyntaxError):
        st.caption("The report's picture is damaged.")
        return
    st.image(content, caption="The columns that moved most, of the report", width="stretch")


def _history(entries: Sequence[DriftEntry]) -> None:
    st.markdown("### Drift reports so far")
    st.altair_chart(time_charts.verdicts(entries, theme.palette()), alt="Verdicts of the drift reports over time")
    rows = [
        {
            "time (UTC)": f"{entry.report.created_at.astimezone(UTC):%Y-%m-%d %H:%M}",
            "verdict": time_charts.VERDICTS[entry.report.verdict],
            "moved": ", ".join(column.column for column in entry.report.columns if column.drifted) or "–",
            "faces": entry.report.current_rows,
            "model": entry.report.bundle,
            "compared with": entry.report.source,
        }
        for entry in entries
    ]
    with st.expander(f"All {len(rows)} as a table" if len(rows) > 1 else "As a table"):
        st.dataframe(pd.DataFrame(rows), hide_index=True)
