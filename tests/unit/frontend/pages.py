"""What a test reads off a page, and does on it."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest

_WORDS = ("title", "markdown", "caption", "error", "warning", "success", "info")


def words(page: AppTest) -> str:
    """All that a page says, without the backslashes that keep Markdown from reading signs; nothing may have failed."""
    assert not page.exception
    return "\n".join(str(element.value) for kind in _WORDS for element in getattr(page, kind)).replace("\\", "")


def button(page: AppTest, label: str) -> Any:
    """The button that says so."""
    (found,) = [each for each in page.button if each.label == label]
    return found


def give(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    """Choose files in the page's uploader."""
    chosen = [(name, content, "image/png") for name, content in files]
    uploader = page.file_uploader[0]
    return uploader.set_value(chosen if uploader.accept_multiple_files else chosen[0]).run()


def charts(page: AppTest) -> int:
    """How many charts there are."""
    return len(page.get("vega_lite_chart"))
