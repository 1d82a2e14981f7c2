"""The cards of the bundles that ship, as they lie in the bundles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MODELS: Final = Path(__file__).parents[2] / "models"
ALIASES: Final = ("production", "seven", "fer2013-five", "fer2013-seven", "sample")


def page() -> str:
    """All cards, as Markdown."""
    return "\n\n".join(card(alias) for alias in ALIASES)


def card(alias: str) -> str:
    """A bundle's card, a level deeper, its headings told from those of the others by the alias.

    Args:
        alias: of a bundle that ships.
    """
    name = (MODELS / "aliases" / alias).read_text(encoding="utf-8").strip()
    text = (MODELS / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    text = re.sub(r"^# .*", f"# `{alias}`: {name} {{ #{alias} }}", text, count=1)

    # Arguments such as `_target_` would be set in italics.
    text = re.sub(r"(?<=^\| network )(\w+)(?= \|)", r"`\1`", text, flags=re.MULTILINE)

    def deeper(found: re.Match[str]) -> str:
        heading = found[1]
        anchor = "" if "{ #" in heading else f" {{ #{alias}-{re.sub(r'[^a-z]+', '-', heading.lower()).strip('-')} }}"
        return f"#{found[0]}{anchor}"

    # A comment of a shell block does not begin a line of its own in a card.
    return re.sub(r"^#+ (.+)$", deeper, text, flags=re.MULTILINE)
