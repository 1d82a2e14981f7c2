"""Promotion: test a bundle the way it will be used, then let an alias point at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.alias_history import previous
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, StoreError, nearest
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.core.store_files import DEFAULT_STORE


@dataclass(frozen=True)
class Promotion:
    """What a promotion changed.

    Attributes:
        alias: the alias.
        old: the bundle's name it held before, ``None`` for a new alias.
        new: the bundle's name it holds now.
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


def promote(name_or_uri: str | Path, alias: str = "production", store: str | Path = DEFAULT_STORE) -> Promotion:
    """Test a bundle, publish it where it is not in the store yet, and move an alias to it.

    Args:
        name_or_uri: a name or alias in the store, a bundle's folder, or `gs://…` or `s3://…`.
        alias: which alias to move; made if it is new.
        store: whose alias.

    Raises:
        BundleError: if the bundle is damaged or does not answer sensibly; the alias stays as it was.
        StoreError: if the store cannot be read or written, or the alias cannot be a name.
    """
    Store.check_alias(alias)
    bundle = resolve_bundle(name_or_uri, store)
    checked = check_bundle(bundle)
    target = Store(store)
    target.publish(bundle.path)
    old = target.set_alias(alias, bundle.name)
    return Promotion(alias, old, bundle.name, target.uri, checked)


def roll_back(alias: str = "production", store: str | Path = DEFAULT_STORE, to: str | None = None) -> Promotion:
    """Move an alias back to the bundle that it held before, tested as for a promotion.

    Going back twice goes back further: changes that went back are not gone back to.

    Args:
        alias: which alias to move.
        store: whose alias.
        to: name of the bundle to go back to, instead of the previous one.

    Raises:
        BundleError: if that bundle is damaged or does not answer sensibly; the alias stays as it was.
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
        BundleError: if one cannot run, gives probabilities that are not finite or do not sum to 1, answers differently
            when asked twice or in a batch, or gives every picture the same answer.
    """
    pictures = _generated_pictures(bundle.spec.input)
    for precision in bundle.spec.precisions:
        predictor = Predictor(bundle, precision)
        logits, embedding = predictor.logits(pictures)
        single = np.concatenate([predictor.logits(pictures[row : row + 1])[0] for row in range(len(pictures))])
        probabilities = predictor.probabilities(logits)
        problem = ""
        if not (np.isfinite(logits).all() and np.isfinite(embedding).all()):
            problem = "gives values that are not finite"
        elif logits.shape != (len(pictures), len(bundle.spec.classes)):
            problem = f"gives {logits.shape[1]} values for {len(bundle.spec.classes)} classes"
        elif not np.allclose(probabilities.sum(axis=1), 1):
            problem = "gives probabilities that do not sum to 1"
        elif not np.allclose(predictor.probabilities(single), probabilities, atol=1e-3):
            problem = "answers differently alone and in a batch"
        elif np.ptp(logits, axis=0).max() == 0:
            problem = "gives every picture the same answer"
        if problem:
            raise BundleError(f"Bundle {bundle.name} {problem} ({precision}).", "Train or export it again.")
    return tuple(bundle.spec.precisions)


def _generated_pictures(spec: InputSpec) -> NDArray[np.uint8]:
    """Black, white, noise, a gradient and a blob: uint8 `[5, C, size, size]`."""
    ramp = np.linspace(0, 255, spec.size)
    distance = np.hypot(*np.meshgrid(ramp - 127.5, ramp - 127.5))
    flat = (spec.size, spec.size)
    drawn = [
        np.zeros(flat),
        np.full(flat, 255),
        np.random.default_rng(0).uniform(0, 255, flat),
        np.broadcast_to(ramp, flat),
        np.clip(255 - 2 * distance, 0, 255),
    ]
    return np.repeat(np.stack(drawn).astype(np.uint8)[:, None], spec.channels, axis=1)
