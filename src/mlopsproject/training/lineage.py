"""Lineage of a network: its teachers and the bundle of its initial weights. It counts as trained on their data, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import BundleError, UserError
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.training.distillation import open_teachers
from mlopsproject.training.module import ExpressionModule


@dataclass(frozen=True)
class Lineage:
    """The bundles that a network comes from.

    Args:
        teachers: what it learnt from.
        initial: the bundle whose weights it began with, if any.
    """

    teachers: Sequence[Bundle] = ()
    initial: Bundle | None = None

    @property
    def bundles(self) -> list[Bundle]:
        """All of them."""
        return [*self.teachers, *([self.initial] if self.initial else [])]

    def record(self) -> dict[str, Any]:
        """Their names, for the new bundle's spec."""
        record = {
            "teachers": [teacher.name for teacher in self.teachers],
            "init_from": self.initial.name if self.initial else None,
        }
        return {key: value for key, value in record.items() if value}


def lineage_of_run(settings: Mapping[str, Any], classes: Sequence[str]) -> Lineage:
    """Open the bundles that a run names.

    Args:
        settings: as composed from `configs/train.yaml`.
        classes: of the run.

    Raises:
        UserError: for one that is missing, damaged, or does not know the classes.
    """
    store, start = settings["store"]["uri"], settings["model"].get("init_from")
    teachers = open_teachers(settings["distill"], classes, store=store)
    found = Lineage(teachers, resolve_bundle(start, store) if start else None)
    for bundle in found.bundles:
        bundle.file("train_hashes.parquet")  # needed when the new bundle is sealed, hours later
    return found


def lineage_of_module(module: ExpressionModule, store: str | Path) -> Lineage:
    """Open the bundles that a checkpoint remembers.

    Args:
        module: rebuilt from the checkpoint.
        store: where bundles live.

    Raises:
        BundleError: if one is missing.
    """
    teachers = [_remembered(name, store) for name in module.hparams.get("record", {}).get("distill.teachers", [])]
    start = module.hparams["model"].get("init_from")
    return Lineage(teachers, _remembered(start, store) if start else None)


def _remembered(name: str, store: str | Path) -> Bundle:
    try:
        bundle = resolve_bundle(name, store)
        bundle.file("train_hashes.parquet")
    except UserError as error:
        raise BundleError(
            f"{name}, which this network learnt from, cannot be opened: {error.message}",
            "What it was trained on must be listed with the new bundle: put it back into the store (store.uri).",
        ) from error
    return bundle
