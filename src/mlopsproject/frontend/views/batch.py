"""The second page: many pictures, one table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mlopsproject.core.schemas import ClassCount
from mlopsproject.frontend import batch_run, charts, parts, session, theme
from mlopsproject.frontend.batch_run import FileRow
from mlopsproject.frontend.csv_table import classes, guarded, to_csv
from mlopsproject.frontend.pictures import thumbnail

_ROWS, _FILES = "batch_rows", "files"
#: Failed files that are named above the table.
_LISTED = 12
#: Pictures of one table that have a thumbnail: a session keeps some megabytes of them at most.
_THUMBNAILS = 1000
#: Height of a row and width of the thumbnails' column, in pixels: a picture twice as wide as high is seen whole.
_ROW_HEIGHT, _THUMBNAIL_WIDTH = 56, 112


def page() -> None:
    """Draw the page."""
    parts.heading("Recognise many pictures", "One row per file, of its largest face. Files that fail say why.")
    # Files of any kind: what is no picture shows up in the table, with the reason.
    uploads = st.file_uploader("Pictures", accept_multiple_files=True, key=_FILES, on_change=_forget_removed)
    rows: dict[str, FileRow] = st.session_state.setdefault(_ROWS, {})
    if uploads:
        _offer(uploads, rows)
        rows = {upload.file_id: rows[upload.file_id] for upload in uploads if upload.file_id in rows}
    if rows:
        _show(batch_run.told_apart(list(rows.values())))
        if not uploads:
            st.button("Remove this table", on_click=st.session_state.pop, args=(_ROWS,), key="remove")
    elif not uploads:
        _explain_page()


def _forget_removed() -> None:
    """Keep the rows of files that are still there; the table outlives a look at another page, where files do not."""
    left = {upload.file_id for upload in st.session_state[_FILES]}
    rows: dict[str, FileRow] = st.session_state.get(_ROWS, {})
    st.session_state[_ROWS] = {name: row for name, row in rows.items() if name in left}


def _offer(uploads: Sequence[UploadedFile], rows: dict[str, FileRow]) -> None:
    """Offer to send what has no answer yet."""
    left = [upload for upload in uploads if upload.file_id not in rows or rows[upload.file_id].again]
    if not left:
        return
    text = f"{len(left)} picture{'s' * (len(left) != 1)}"
    again = all(upload.file_id in rows for upload in left)
    if st.button(f"Send {text} again" if again else f"Recognise {text}", type="primary", key="go"):
        _run(left, rows)
        st.rerun()


def _run(uploads: Sequence[UploadedFile], rows: dict[str, FileRow]) -> None:
    """Send files, and keep each row as it comes: a click elsewhere may end this early."""
    bar = st.progress(0.0, text="Sending …")
    new = {upload.file_id for upload in uploads}
    room = _THUMBNAILS - sum(bool(row.thumbnail) for name, row in rows.items() if name not in new)
    for done, (upload, row) in enumerate(zip(uploads, batch_run.recognise(session.client(), uploads), strict=True), 1):
        shown = thumbnail(upload.getvalue()) if done <= room else ""
        rows[upload.file_id] = replace(row, thumbnail=shown)
        bar.progress(done / len(uploads), text=f"{done} of {len(uploads)}")


def _explain_page() -> None:
    with st.container(border=True, key="empty"):
        st.markdown("### No pictures yet")
        st.markdown(
            "Choose as many files as you like, or drop a folder's files above. You get a table of expressions and "
            "probabilities, a summary, and the table as CSV."
        )


def _show(rows: Sequence[FileRow]) -> None:
    answers = [row.result for row in rows if row.result]
    with st.container(horizontal=True, key="summary"):
        st.metric("Answered", f"{len(answers):,}", border=True)
        st.metric("Uncertain", f"{sum(answer.uncertain for answer in answers):,}", border=True)
        st.metric("Failed", f"{len(rows) - len(answers):,}", border=True)
    _failures([row for row in rows if not row.result])
    if answers:
        st.dataframe(
            _frame(rows),
            hide_index=True,
            column_config=_columns(rows),
            row_height=_ROW_HEIGHT,
            placeholder="",
            alt="One row per file",
        )
    st.download_button(
        "Download as CSV", to_csv(rows), "expressions.csv", "text/csv", on_click="ignore", icon=":material/download:"
    )
    if answers:
        st.markdown("### By expression")
        st.altair_chart(charts.counts(_tally(rows), theme.palette()), alt="Answers by expression")


def _failures(rows: Sequence[FileRow]) -> None:
    """Which files have no answer, and why."""
    if not rows:
        return
    lines = [f"- {parts.plain(row.file)}: {parts.plain(row.reason)}" for row in rows[:_LISTED]]
    if len(rows) > _LISTED:
        lines.append(f"- and {len(rows) - _LISTED:,} more, all of them in the table")
    st.warning("**Without an answer**\n" + "\n".join(lines))


def _frame(rows: Sequence[FileRow]) -> pd.DataFrame:
    """The table as shown; its text is guarded as well, for Streamlit lets people download it by a button of its own."""
    answers = [row.result for row in rows]
    return pd.DataFrame(
        {
            "picture": [row.thumbnail or None for row in rows],
            "file": [guarded(row.file) for row in rows],
            "label": [guarded(answer.predicted_emotion) if answer else None for answer in answers],
            "confidence": [100 * answer.confidence if answer else None for answer in answers],
            "uncertain": [answer.uncertain if answer else None for answer in answers],
            **{
                f"p_{name}": [100 * answer.probabilities.get(name, math.nan) if answer else None for answer in answers]
                for name in classes(rows)
            },
            "problem": [guarded(row.reason) or None for row in rows],
        }
    )


def _columns(rows: Sequence[FileRow]) -> dict[str, Any]:
    # Streamlit's own "percent" leaves out zeros at the end, so that columns are ragged.
    form = "%.1f %%"
    return {
        "picture": st.column_config.ImageColumn("Picture", width=_THUMBNAIL_WIDTH, pinned=True),
        "file": st.column_config.TextColumn("File", pinned=True),
        "label": "Best guess",
        "confidence": st.column_config.ProgressColumn("Confidence", format=form, min_value=0, max_value=100),
        "uncertain": st.column_config.CheckboxColumn("Uncertain", help="Treat it as no answer."),
        **{f"p_{name}": st.column_config.NumberColumn(name, format=form) for name in classes(rows)},
        "problem": st.column_config.TextColumn("Problem", width="medium"),
    }


def _tally(rows: Sequence[FileRow]) -> list[ClassCount]:
    """Answers by class, in the model's order."""
    answers = [row.result for row in rows if row.result]
    found = Counter(answer.predicted_emotion for answer in answers)
    doubts = Counter(answer.predicted_emotion for answer in answers if answer.uncertain)
    return [
        ClassCount(label=name, count=found[name], uncertain=doubts[name], mean_confidence=0) for name in classes(rows)
    ]
