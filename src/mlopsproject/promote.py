"""Test a bundle and point an alias at it: `python -m mlopsproject.promote bundle=NAME alias=production`."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import require, run_job, values
from mlopsproject.core.promotion import Promotion
from mlopsproject.core.promotion import promote as promote_bundle


def promote(config: DictConfig) -> Promotion:
    """Promote as the config says and print what changed."""
    settings = values(config)
    promotion = promote_bundle(require(settings, "bundle"), str(require(settings, "alias")), settings["store"]["uri"])
    checked = ", ".join(promotion.checked)
    Console().print(f"{promotion} (tested: {checked})", soft_wrap=True, highlight=False)
    return promotion


def main() -> None:
    """Run from the command line."""
    run_job("promote", promote)


if __name__ == "__main__":
    main()
