"""Retraining as a sequence of steps; each writes its result to a folder, and a step with a result is skipped.

The steps are `check` (is there drift or decay?), `merge` (old and new data), `train` (a candidate), `compare` (with
production, on the same test images) and `promote` (if it is better). The training function is an argument, because this
package does not import torch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlopsproject.config import load_config, values
from mlopsproject.core.commands import job_command
from mlopsproject.core.drift_reports import DRIFT_FILE
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.promotion import promote
from mlopsproject.core.schemas import DriftReport
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.data.importer import import_dataset
from mlopsproject.data.manifest import read_import, read_manifest
from mlopsproject.data.merging import merged_source
from mlopsproject.data.opening import import_folder
from mlopsproject.monitoring.comparison import COMPARISON_FILE, Comparison, compare_models, write_comparison
from mlopsproject.monitoring.gate import Gate
from mlopsproject.monitoring.job import DRIFT, exit_code, run_drift
from mlopsproject.monitoring.retraining_settings import (
    STEPS,
    Outcome,
    check_old_data,
    check_settings,
    no_reason,
    old_data,
    recipe,
    truth,
)
from mlopsproject.monitoring.step_results import StepResults, read_json, short_hash, write_json
from mlopsproject.monitoring.tracking import log_comparison
from mlopsproject.overrides import quoted

log = logging.getLogger(__name__)

_START: Final = "start.json"
#: Suffix of candidates' names; it is replaced if production was itself a candidate.
_SUFFIX: Final = re.compile(r"-r[0-9a-f]{8}$")
#: If production was trained on more than this share of the new images, there is no retraining.
_MAX_SHARE_TRAINED: Final = 0.5
#: Settings that identify a retraining: other values start another one.
_IDENTITY: Final = ("new_data", "alias", "data", "train", "finetune", "store")

#: Trains a model; takes overrides of `configs/train.yaml` and the output folder.
Train = Callable[[list[str], Path], None]


class Retraining:
    """One retraining: its settings, its folder and its steps.

    Args:
        settings: as composed from `configs/retrain.yaml`.
        train: see `Train`.

    Raises:
        UserError: for a setting that is not possible, missing data, or a retraining that is running already.
    """

    def __init__(self, settings: Mapping[str, Any], train: Train) -> None:
        check_settings(settings)
        self._settings = settings
        self._train = train
        self._root = Path(settings["data"]["root"])
        self._store = Store(settings["store"]["uri"])
        self._gate = Gate.of(settings["gate"])
        production = Predictor.load(settings["alias"], store=settings["store"]["uri"], threads=settings["threads"])
        self._classes, self._input = production.spec.classes, production.spec.input
        self._recipe = recipe(settings, production.spec)
        self._old = self._known_data(old_data(settings, production.spec), self._input)
        self._new = self._known_data(settings["new_data"], self._input)
        check_old_data(self._old, production.spec)
        self._key = self._identity_hash()
        self.folder, self.production = self._place(production.model_version)
        self._results = StepResults(self.folder)

    def run(self) -> Outcome:
        """Run the configured step, or all remaining ones until one of them stops the retraining.

        Raises:
            UserError: if a step fails, or an earlier step is missing.
        """
        with self._results.locked():
            self._discard_other_gate()
            if self._settings["step"] not in (None, "check") and (reason := self._results.stopped):
                return self._outcome(reason)
            steps = STEPS if self._settings["step"] is None else (self._settings["step"],)
            for step in steps:
                if self._results.get(step) is not None:
                    log.info("Step %s is done already", step)
                    continue
                missing = [name for name in STEPS[: STEPS.index(step)] if self._results.get(name) is None]
                if missing:
                    raise ConfigError(f"step={step} needs the step {missing[0]} first.", f"Run step={missing[0]}.")
                log.info("Step %s", step)
                stopped = self._steps()[step]()
                self._results.stopped = stopped
                if stopped:
                    return self._outcome(stopped)
            return self._outcome(None)

    def _steps(self) -> dict[str, Callable[[], str | None]]:
        """Step → its function, which returns a reason to stop, or `None`."""
        return {
            "check": self._check_need,
            "merge": self._merge,
            "train": self._train_candidate,
            "compare": self._compare,
            "promote": self._promote,
        }

    def _check_need(self) -> str | None:
        """Check for drift and decay; without either, return a reason to stop."""
        settings = self._settings
        share = self._share_trained()
        if share > _MAX_SHARE_TRAINED and not settings["force"]:
            return f"{self.production} has learnt from {100 * share:.0f} % of {self._new.name} already; nothing to do."
        overrides = {"bundle": self.production, "current": f"dataset:{settings['new_data']}"}
        if settings["trigger"] == "log":
            overrides |= {"current": "log", "since": settings["since"], "database_url": settings["database_url"]}
        shared = ("detect", "decay", "threads", "progress", "store", "wandb")
        drift = {**values(load_config("drift")), **{key: settings[key] for key in shared}, **overrides}
        drift["data"] = {"root": settings["data"]["root"]}
        report = run_drift(drift, self.folder / "check")
        if exit_code(report) != DRIFT and not settings["force"]:
            return no_reason(report)
        self._results.write("check", {"verdict": report.verdict, "forced": exit_code(report) != DRIFT})
        return None

    def _share_trained(self) -> float:
        """Share of the new images (0-1, by pixel hash) that production was trained on."""
        bundle = self._store.open(self.production)
        trained = pq.read_table(bundle.file("train_hashes.parquet"), columns=["pixel_hash"])["pixel_hash"]
        new = read_manifest(self._new)["pixel_hash"]
        return float(np.mean(pc.is_in(new, value_set=trained.combine_chunks()).to_pylist()))

    def _merge(self) -> str | None:
        info = read_import(self._old)
        options = dict(info["options"])
        own = options.pop("own_classes")
        for key in ("label_map", "votes", "votes_map"):
            options.pop(key, None)  # each data set is read with its own
        # Depends only on the merged data, so that other retrainings reuse the data set.
        digits = short_hash([read_import(folder)["fingerprint"] for folder in (self._old, self._new)])
        name = f"{self._old.name}-{self._new.name}-{digits}"
        result = import_dataset(
            merged_source([self._old, self._new]),
            name,
            root=self._root,
            classes=list(dict.fromkeys([*self._classes, *own])),
            progress=self._settings["progress"],
            **options,
        )
        self._results.write("merge", {"data": name, "rows": result.info["rows"], "splits": result.info["splits"]})
        return None

    def _train_candidate(self) -> str | None:
        """Train in a folder of its own; an interrupted run resumes from its last checkpoint."""
        found = self._candidate()
        if found is None:
            output = self.folder / "train"
            given = [f"data.name={self._results.of('merge')['data']}", f"data.root={self._root}"]
            given += [f"classes=[{','.join(self._classes)}]", f"store.uri={self._settings['store']['uri']}"]
            given += ["store.alias=null", f"bundle_name={self._prefix()}"]
            given += [f"trainer.progress={str(self._settings['progress']).lower()}"]
            if self._settings["finetune"]:
                given.append(f"model.init_from={self.production}")
            if (output / "checkpoints" / "last.ckpt").is_file():
                given.append(f"resume={output}")
            self._train([*self._recipe, *map(quoted, given)], output)
            found = self._candidate()
        if found is None:
            raise DataError(f"Training left no bundle {self._prefix()}-… in {self._store.uri}.", "Run it again.")
        self._results.write("train", {"candidate": found})
        return None

    def _compare(self) -> str | None:
        uri, threads = self._settings["store"]["uri"], self._settings["threads"]
        candidate = self._results.of("train")["candidate"]
        production, other = (Predictor.load(name, store=uri, threads=threads) for name in (self.production, candidate))
        data = {"name": self._results.of("merge")["data"], "root": self._root, **truth(self._recipe)}
        comparison = compare_models(production, other, data, self._new.name, self._gate)
        write_comparison(comparison, self.folder)
        log_comparison(self._settings["wandb"], comparison, self.folder)
        self._results.write("compare", {"better": comparison.better, "gate": asdict(self._gate)})
        return None

    def _promote(self) -> str | None:
        if not self._results.of("compare")["better"]:
            self._results.write("promote", {"promoted": None})
            return None
        candidate, alias = self._results.of("train")["candidate"], self._settings["alias"]
        promote(candidate, alias, self._settings["store"]["uri"], instead_of=self.production)
        self._results.write("promote", {"promoted": candidate})
        return None

    def _discard_other_gate(self) -> None:
        """Discard a comparison by another gate, unless it led to a promotion, to compare without training again."""
        compared, candidate = self._results.get("compare"), (self._results.get("train") or {}).get("candidate")
        moved = candidate is not None and self._store.get_alias(self._settings["alias"]) == candidate
        decided = (self._results.get("promote") or {}).get("promoted")
        if compared and compared["gate"] != asdict(self._gate) and not moved and not decided:
            self._results.discard("promote", "compare")

    def _known_data(self, name: str, spec: InputSpec) -> Path:
        """The folder of an imported data set; if `name` is a folder of pictures, it is imported first."""
        import_folder(name, self._root, spec, self._classes)
        read_import(self._root / name)
        return self._root / name

    def _identity_hash(self) -> str:
        """Eight hex digits that identify data and settings, by which the same command resumes a retraining."""
        own = {key: self._settings[key] for key in _IDENTITY}
        # The content of the recipe, not only its name.
        own["train"] = values(load_config("train", self._recipe))
        own |= {"fingerprints": [read_import(folder)["fingerprint"] for folder in (self._old, self._new)]}
        return short_hash(own)

    def _place(self, production: str) -> tuple[Path, str]:
        """The folder of this retraining, and the name of the bundle that was in production at its start.

        An unfinished retraining is resumed, even if the alias points at its candidate by now; otherwise there is one
        folder for each bundle in production.
        """
        root = Path(str(self._settings["runs"])) / f"{self._old.name}-{self._new.name}-{self._key}"
        for start in sorted(root.glob(f"*/{_START}")):
            begun = read_json(start)["production"]
            results = StepResults(start.parent)
            moved_on = self._store.get_alias(self._settings["alias"])
            candidate = (results.get("train") or {}).get("candidate")
            if results.get("promote") is None and moved_on in (begun, candidate):
                return start.parent, begun
        folder = root / production
        if not (folder / _START).is_file():
            write_json(folder / _START, {"production": production, **{key: self._settings[key] for key in _IDENTITY}})
        return folder, production

    def _prefix(self) -> str:
        """Prefix of the candidate's name, by which an existing candidate is found."""
        family = self.production.rpartition("-")[0]
        return f"{_SUFFIX.sub('', family)}-r{short_hash([self._key, self.production])}"

    def _candidate(self) -> str | None:
        found = [name for name in self._store.names() if name.rpartition("-")[0] == self._prefix()]
        return max(found, key=lambda name: self._store.open(name).spec.created_at, default=None)

    def _outcome(self, stopped: str | None) -> Outcome:
        report, comparison = self.folder / "check" / DRIFT_FILE, self.folder / COMPARISON_FILE
        promoted = (self._results.get("promote") or {}).get("promoted")
        holds = self._store.get_alias(self._settings["alias"])
        if promoted is not None and promoted != holds:
            again = job_command("promote", f"bundle={promoted}", f"alias={self._settings['alias']}")
            stopped = f"{promoted} was promoted, and rolled back since: the alias holds {holds}. Again: {again}"
            promoted = None
        return Outcome(
            folder=self.folder,
            production=self.production,
            done=tuple(step for step in STEPS if self._results.get(step) is not None),
            report=DriftReport.model_validate_json(report.read_bytes()) if report.is_file() else None,
            comparison=Comparison.model_validate_json(comparison.read_bytes())
            if self._results.get("compare")
            else None,
            promoted=promoted,
            stopped=stopped,
        )
