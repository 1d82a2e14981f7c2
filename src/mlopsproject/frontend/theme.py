"""How the pages look: colours and type, as options of Streamlit, and what charts need to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import streamlit as st

#: Options of both themes.
_COMMON: Final = {
    "base": "light",
    "font": "sans-serif",
    "headingFont": "serif",
    "headingFontSizes": '["2.1rem", "1.5rem", "1.2rem", "1.05rem"]',
    "headingFontWeights": "[650, 600, 600, 600]",
    "baseRadius": "0.6rem",
    "metricValueFontSize": "1.7rem",
    "paddingTop": "1.2rem",
    "paddingBottom": "3rem",
    "showSidebarBorder": "true",
}
_LIGHT: Final = {
    "primaryColor": "#1f5f8b",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f1f4f7",
    "textColor": "#1c2733",
    "linkColor": "#1f5f8b",
    "borderColor": "#d5dce3",
    "grayColor": "#5a6877",
    "grayTextColor": "#5a6877",
    "sidebar.backgroundColor": "#f4f6f8",
    "sidebar.secondaryBackgroundColor": "#e6ebf0",
}
_DARK: Final = {
    "primaryColor": "#3583b3",
    "backgroundColor": "#12181f",
    "secondaryBackgroundColor": "#1e2833",
    "textColor": "#e8edf2",
    "linkColor": "#7cc0f0",
    "borderColor": "#33414f",
    "grayColor": "#9fb0c0",
    "grayTextColor": "#9fb0c0",
    "sidebar.backgroundColor": "#0e1318",
    "sidebar.secondaryBackgroundColor": "#1b242e",
}

#: What the options cannot say: lines of text stay readable on wide screens, the first thing on a page is its heading.
STYLE: Final = """<style>
.stMainBlockContainer { max-width: 74rem; }
.stMain h1, .stMain h2, .stMain h3, .stMain h4 { padding: 0 0 .3rem; }
.st-key-verdict h2::first-letter { text-transform: uppercase; }
.st-key-figures > * { flex: 1 1 max(9.2rem, 30%); }
.st-key-summary > * { flex: 1 1 6rem; }
.st-key-responsible { margin-top: 1rem; }
</style>"""


@dataclass(frozen=True)
class Palette:
    """Colours of charts.

    Attributes:
        strong: what matters.
        soft: the rest.
        doubt: uncertain answers.
        text: labels.
        line: rules and grids.
        series: what is told apart by colour alone.
    """

    strong: str
    soft: str
    doubt: str
    text: str
    line: str
    series: tuple[str, ...]


#: By Okabe and Ito: they stay apart for eyes that see few colours.
_SERIES: Final = ("#d55e00", "#cc79a7", "#e6b800", "#0072b2", "#56b4e9", "#009e73", "#8795a3")
_PALETTES: Final = {
    "light": Palette("#1f5f8b", "#a9bccb", "#d9a441", "#1c2733", "#8795a3", _SERIES),
    "dark": Palette("#5fb0e0", "#4b6073", "#d9a441", "#e8edf2", "#8795a3", _SERIES),
}


def options() -> Iterator[tuple[str, str]]:
    """Streamlit's options for both themes, by name."""
    for section, values in (("theme", _COMMON), ("theme.light", _LIGHT), ("theme.dark", _DARK)):
        for name, value in values.items():
            yield f"{section}.{name}", value


def palette() -> Palette:
    """The colours that fit the theme of the browser which looks at the page."""
    return _PALETTES["dark" if st.context.theme.type == "dark" else "light"]
