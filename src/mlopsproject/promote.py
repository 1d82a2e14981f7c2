"""Test a bundle and point an alias at it: `python -m mlopsproject.promote bundle=NAME alias=production`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import require, run_job, values
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.promotion import Promotion
from mlopsproject.core.promotion import promote as promote_bundle
from mlopsproject.core.store import Store


def promote(config: DictConfig) -> Promotion:
    """Promote as the config says and print what changed.

    Raises:
        UserError: a missing or damaged bundle, one that does not pass its gate, a store that cannot be written; the
            alias is not changed.
    """
    settings = values(config)
    bundle, alias, store = require(settings, "bundle"), str(require(settings, "alias")), settings["store"]["uri"]
    console = Console()
    compared = None
    if settings["data"]["name"] is not None:
        compared, found = _pass_gate(settings)
        console.print(f"Gate passed: {found}", soft_wrap=True, highlight=False)
    promotion = promote_bundle(bundle, alias, store, instead_of=compared)
    checked = ", ".join(promotion.checked)
    console.print(f"{promotion} (tested: {checked})", soft_wrap=True, highlight=False)
    return promotion


def _pass_gate(settings: Mapping[str, Any]) -> tuple[str | None, str]:
    """Name of the bundle that was compared with, if the alias holds one, and what was found."""
    # SciPy takes a second to import, which a promotion without a gate need not wait for.
    from mlopsproject.monitoring.gate import Gate, pass_gate

    gate, store, alias = Gate.of(settings["gate"]), settings["store"]["uri"], str(settings["alias"])
    Store.check_alias(alias)
    load = partial(Predictor.load, store=store, threads=settings["threads"])
    old = Store(store).get_alias(alias)
    production = None if old is None else load(old)
    return old, pass_gate(load(settings["bundle"]), production, settings["data"], gate)


def main() -> None:
    """Run from the command line."""
    run_job("promote", promote)


if __name__ == "__main__":
    main()
