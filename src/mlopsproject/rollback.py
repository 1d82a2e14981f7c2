"""Move an alias back to the bundle that it held before: `python -m mlopsproject.rollback alias=production`."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import require, run_job, values
from mlopsproject.core.promotion import Promotion, roll_back


def rollback(config: DictConfig) -> Promotion:
    """Roll back as the config says and print what changed."""
    settings = values(config)
    to = None if settings["to"] is None else str(settings["to"])
    found = roll_back(str(require(settings, "alias")), settings["store"]["uri"], to)
    checked = ", ".join(found.checked)
    word = "rolled back" if found.old != found.new else "unchanged"
    Console().print(f"{found} ({word}; tested: {checked})", soft_wrap=True, highlight=False)
    return found


def main() -> None:
    """Run from the command line."""
    run_job("rollback", rollback)


if __name__ == "__main__":
    main()
