"""Hold a model's figures against bounds: `python model_check.py FILE.json... --least accuracy=0.9 --most fp32_ms=5`.

Exit codes: 0 all within, 1 something missed, missing or not a number.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bound:
    """What a figure must reach, or must not exceed.

    Attributes:
        name: key of the figure.
        value: the bound.
        least: whether it is a lower bound.
    """

    name: str
    value: float
    least: bool

    def met_by(self, figure: object) -> bool:
        """Whether a figure is a number within the bound."""
        if isinstance(figure, bool) or not isinstance(figure, int | float) or not math.isfinite(figure):
            return False
        return figure >= self.value if self.least else figure <= self.value


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures beside their bounds, as Markdown.

    Args:
        arguments: of the command line.
    """
    options = _parser().parse_args(arguments)
    figures: dict[str, Any] = {}
    for file in options.files:
        figures |= json.loads(file.read_text(encoding="utf-8"))
    bounds = [Bound(*given, least=True) for given in options.least]
    bounds += [Bound(*given, least=False) for given in options.most]
    lines = [f"### {options.title}\n", "| figure | measured | bound | |", "|---|---:|---:|---|"]
    for bound in bounds:
        sign, verdict = "≥" if bound.least else "≤", "met" if bound.met_by(figures.get(bound.name)) else "**missed**"
        lines.append(f"| {bound.name} | {_shown(figures.get(bound.name))} | {sign} {bound.value:g} | {verdict} |")
    sys.stdout.write("\n".join(lines) + "\n")
    missed = [bound.name for bound in bounds if not bound.met_by(figures.get(bound.name))]
    if missed:
        sys.stderr.write(f"error: {options.title}: out of bounds: {', '.join(missed)}.\n")
    return 1 if missed else 0


def _shown(figure: object) -> str:
    return f"{figure:.4g}" if isinstance(figure, float) else "-" if figure is None else str(figure)


def _pair(text: str) -> tuple[str, float]:
    """NAME=NUMBER, read.

    Raises:
        ArgumentTypeError: if it is something else.
    """
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=NUMBER") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="metrics.json, benchmark.json")
    parser.add_argument("--title", required=True, help="whose figures they are")
    parser.add_argument("--least", action="append", type=_pair, default=[], metavar="NAME=NUMBER")
    parser.add_argument("--most", action="append", type=_pair, default=[], metavar="NAME=NUMBER")
    return parser


if __name__ == "__main__":
    sys.exit(main())
