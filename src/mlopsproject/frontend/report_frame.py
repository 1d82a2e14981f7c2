"""The page of a drift report within a page: a small component of the frontend's own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import streamlit as st

_NAME: Final = "mlopsproject_report"
#: As the API has it: the report brings its own scripts, and loads nothing.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "form-action 'none'; base-uri 'none'"
)
_META: Final = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'


def show(identifier: str, content: bytes) -> None:
    """Show a report's page. Its scripts run in a sandbox, without the rights of this page.

    Args:
        identifier: of the report.
        content: the page, HTML in UTF-8.
    """
    html, css, js = (_asset(f"report.{kind}") for kind in ("html", "css", "js"))
    component = st.components.v2.component(_NAME, html=html, css=css, js=js)
    component(key=f"report-{identifier}", data={"report": identifier, "page": restricted(content)})


def restricted(content: bytes) -> str:
    """A page that tells browsers to load nothing for it.

    Args:
        content: the page, HTML in UTF-8.
    """
    page = content.decode("utf-8", "replace")
    head, tag, rest = page.partition("<head>")
    return f"{head}{tag}{_META}{rest}" if tag else f"{_META}{page}"


@cache
def _asset(name: str) -> str:
    return files("mlopsproject.frontend").joinpath("assets", name).read_text(encoding="utf-8")
