"""The script that Streamlit runs for every session and every click: the frame around the pages."""

from __future__ import annotations

from importlib.resources import files

import streamlit as st

from mlopsproject.core.errors import ConfigError
from mlopsproject.frontend import parts, session, theme
from mlopsproject.frontend.views import batch, monitoring, recognise

_TITLE = "Apparent expression"
#: Seconds between two looks at a service that works, and at one that does not.
_CALM, _ANXIOUS = 15, 3
_WORDS = {
    "ok": (":green[:material/check_circle:]", "Service ready"),
    "degraded": (":orange[:material/error:]", "Service works, with a problem"),
    "not_ready": (":orange[:material/hourglass_empty:]", "Service not ready"),
    "down": (":red[:material/cancel:]", "Service does not answer"),
}


def main() -> None:
    """Draw the page that the address names."""
    logo = files("mlopsproject.frontend").joinpath("assets", "logo.svg").read_text(encoding="utf-8")
    st.set_page_config(page_title=_TITLE, page_icon=logo, layout="wide")
    st.logo(logo, size="large")
    st.html(theme.STYLE)
    page = st.navigation(
        [
            st.Page(recognise.page, title="Recognise", icon=":material/face:", url_path="recognise", default=True),
            st.Page(batch.page, title="Batch", icon=":material/photo_library:", url_path="batch"),
            st.Page(monitoring.page, title="Monitoring", icon=":material/monitoring:", url_path="monitoring"),
        ]
    )
    try:
        session.client()
    except ConfigError as error:
        st.error(parts.plain(str(error)))
        st.stop()
    health = session.health()
    with st.sidebar:
        st.fragment(_health, run_every=_CALM if health.state in ("ok", "degraded") else _ANXIOUS)(health.state)
    _notice(health)
    page.run()
    parts.responsible_use()


def _notice(health: session.Health) -> None:
    """Above the page: what keeps it from being answered."""
    if health.state == "down" and health.error is not None:
        st.error(f"**{health.error.message}** {health.error.fix} This page goes on by itself once it answers.")
    elif health.state == "not_ready":
        st.warning(f"**The service is not ready.** {parts.plain('; '.join(health.reasons))}")


def _health(shown: str) -> None:
    """In the sidebar: how the service fares; runs by itself and draws the page anew when that changes."""
    health = session.health()
    if health.state != shown:
        st.rerun()
    sign, words = _WORDS[health.state]
    st.markdown(f"{sign} **{words}**")
    for reason in health.reasons:
        st.caption(parts.plain(reason))
    if health.model_version:
        st.caption(f"Model {parts.plain(health.model_version)}")


main()
