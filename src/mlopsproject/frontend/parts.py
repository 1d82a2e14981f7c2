"""What several pages show: headings, problems, the note on responsible use."""

from __future__ import annotations

import streamlit as st

from mlopsproject.frontend import session
from mlopsproject.frontend.client import ApiError

_PLAIN = str.maketrans({character: f"\\{character}" for character in r"\`*_{}[]()<>#+-.!|~$:"})


def heading(title: str, text: str) -> None:
    """Begin a page.

    Args:
        title: of the page.
        text: what it is for, in a sentence.
    """
    st.title(title, anchor=False)
    st.markdown(f":gray[{text}]")


def plain(text: str) -> str:
    """Text from outside, so that Markdown shows it as it is.

    Args:
        text: of any origin.
    """
    return " ".join(text.split()).translate(_PLAIN)


def problem(error: ApiError, again: str = "") -> None:
    """Say why there is no answer, and offer to try again where that may help.

    What a service that does not answer keeps from being shown comes by itself once it does.

    Args:
        error: what happened.
        again: key of the button; none is shown if it is empty.
    """
    if error.kind == "down":
        if session.note_down(error):
            st.rerun()
        # The notice above the page says the rest.
        st.info("Waiting for the service.", icon=":material/hourglass_empty:")
        return
    text = f"**{plain(error.message)}** {plain(error.fix)}".strip()
    (st.warning if error.is_passing else st.error)(text)
    if error.request_id:
        st.caption(f"Request {plain(error.request_id)}")
    if again and error.is_passing:
        # A click runs the page once more, which is all that it takes.
        st.button("Try again", key=again)


def responsible_use() -> None:
    """The note on what the answers are and must not be used for."""
    with st.container(border=True, key="responsible"):
        st.markdown("#### Use it responsibly")
        st.markdown(
            "The answer is the **apparent** expression: what a face looks like to the people who labelled the training "
            "pictures, not what the person feels. It is often wrong, and more often for some groups of people. Do not "
            "decide about people with it."
        )
        st.markdown(
            "In the European Union it is prohibited to infer emotions of people at work and in education "
            "(AI Act, Regulation (EU) 2024/1689, Article 5(1)(f))."
        )
        st.caption(
            "Pictures are scored and not kept. The log holds answers and statistics such as brightness, no pictures "
            "and no file names."
        )
