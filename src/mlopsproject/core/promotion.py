"""Promotion and rollback: test a bundle by running it, then point an alias at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlopsproject.core.alias_history import previous
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, StoreError, nearest
from mlopsproject.core.predictor import Predictor, generated_pictures
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.store import Store
from mlopsproject.core.store_files import DEFAULT_STORE


@dataclass(frozen=True)
class Promotion:
    """Result of a promotion or rollback.

    Attributes:
        alias: its name.
        old: name of the bundle that it pointed at before; ``None`` for a new alias.
        new: name of the bundle that it points at now.
        store: address of the store.
        checked: the precisions that were tested.
    """

    alias: str
    old: str | None
    new: str
    store: str
    checked: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.alias} ({self.store}): {self.old or 'none'} -> {self.new}"


def promote(
    name_or_uri: str | Path,
    alias: str = "production",
    store: str | Path = DEFAULT_STORE,
    *,
    instead_of: str | None = None,
) -> Promotion:
    """Test a bundle, publish it unless it is in the store, and point an alias at it.

    Args:
        name_or_uri: a name or alias in the store, a bundle's folder, or `gs://…` or `s3://…`.
        alias: created if it is new.
        store: the alias's store.
        instead_of: name of the bundle that this one was compared with; the alias must hold either of them.

    Raises:
        BundleError: if the bundle is damaged or fails `check_bundle`; the alias is not changed.
        StoreError: if the store cannot be read or written, or the alias is not allowed, or holds another bundle.
    """
    Store.check_alias(alias)
    bundle = resolve_bundle(name_or_uri, store)
    checked = check_bundle(bundle)
    target = Store(store)
    target.publish(bundle.path)
    if instead_of is not None and (holds := target.get_alias(alias)) not in (instead_of, bundle.name):
        raise StoreError(
            f"{alias} holds {holds} by now, and not {instead_of}, which {bundle.name} was compared with.",
            "Run the same command again: it compares with that one.",
        )
    old = target.set_alias(alias, bundle.name)
    return Promotion(alias, old, bundle.name, target.uri, checked)


def roll_back(alias: str = "production", store: str | Path = DEFAULT_STORE, to: str | None = None) -> Promotion:
    """Point an alias at the bundle that it pointed at before, after the same test as for a promotion.

    Repeated rollbacks go further back, see `alias_history.previous`.

    Args:
        alias: its name.
        store: the alias's store.
        to: name of the bundle to go back to, instead of the previous one.

    Raises:
        BundleError: if that bundle is damaged or fails `check_bundle`; the alias is not changed.
        StoreError: if there is no such alias, nothing to go back to, or the store cannot be read or written.
    """
    target = Store(store)
    current = target.get_alias(alias)
    if current is None:
        hint = nearest(alias, target.aliases())
        raise StoreError(
            f"{target.uri} has no alias {alias!r}{'; ' + hint if hint else '.'}", "Promote a bundle first."
        )
    wanted = to or previous(target.alias_history(alias), current)
    if wanted is None:
        names = ", ".join(name for name in target.names() if name != current) or "no other bundle"
        raise StoreError(
            f"The alias {alias} of {target.uri} holds {current}, and nothing is known of before.",
            f"Name where to: to=NAME; the store has {names}.",
        )
    bundle = target.open(target.resolve(wanted))
    checked = check_bundle(bundle)
    target.set_alias(alias, bundle.name, rollback=True)
    return Promotion(alias, current, bundle.name, target.uri, checked)


def check_bundle(bundle: Bundle) -> tuple[str, ...]:
    """Run every precision of a bundle on generated pictures.

    Returns:
        The precisions tested.

    Raises:
        BundleError: if one cannot be loaded (see `Predictor`), or gives the same logits for all pictures.
    """
    pictures = generated_pictures(bundle.spec.input)
    for precision in bundle.spec.precisions:
        logits, _ = Predictor(bundle, precision).logits(pictures)
        if np.ptp(logits, axis=0).max() == 0:
            problem = f"Bundle {bundle.name} gives every picture the same answer ({precision})."
            raise BundleError(problem, "Train or export it again.")
    return tuple(bundle.spec.precisions)
