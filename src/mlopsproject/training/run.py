"""A training run from its config to a published bundle."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console

from mlopsproject.config import command_line, values
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import BundleError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.opening import input_spec, open_dataset
from mlopsproject.evaluation.evaluator import PLOTS_FOLDER
from mlopsproject.evaluation.plots import EXAMPLE_COLUMNS, example_rows, plot_examples, plot_learning_curves
from mlopsproject.evaluation.report import write_report
from mlopsproject.evaluation.tables import metrics_table
from mlopsproject.training.bundling import ExportSettings, build_bundle, bundle_prefix, publish
from mlopsproject.training.callbacks import BestCheckpoint, MetricHistory
from mlopsproject.training.checkpoints import find_checkpoint, load_module, read_checkpoint, start_from_bundle
from mlopsproject.training.datamodule import FaceDataModule
from mlopsproject.training.distillation import prepare_teaching
from mlopsproject.training.hardware import Compute, choose_compute
from mlopsproject.training.lineage import Lineage, lineage_of_run
from mlopsproject.training.module import ExpressionModule, build_module
from mlopsproject.training.settings import check_folder, check_settings
from mlopsproject.training.tracking import CURVES, build_loggers, carry_curves, finish, log_bundle
from mlopsproject.training.trainer import build_callbacks, build_trainer, prepare_process, trainer_refused

log = logging.getLogger(__name__)

#: Test pictures that the examples of a report are drawn from.
_EXAMPLE_POOL = 5_000


@dataclass(frozen=True)
class TrainingResult:
    """What a training run leaves behind.

    Args:
        bundle: the sealed bundle; `None` on processes other than the first.
        checkpoint: the best checkpoint, which the bundle was exported from.
        history: each epoch's metrics.
        metrics: the bundle's test metrics.
    """

    bundle: Bundle | None
    checkpoint: Path
    history: list[dict[str, float]]
    metrics: Mapping[str, Any]


def train(config: DictConfig, output: Path) -> TrainingResult:
    """Train as the config says, export the best checkpoint, measure the bundle on test and publish it.

    Args:
        config: as composed from `configs/train.yaml`.
        output: folder of this run, for checkpoints, metrics and plots.

    Raises:
        UserError: for anything the user can put right, such as missing data or an unknown class.
    """
    settings = values(config)
    check_settings(settings)
    spec = input_spec(settings["data"])
    classes = resolve_classes(settings["classes"])
    resume = find_checkpoint(str(settings["resume"])) if settings["resume"] else None
    check_folder(output, resume)
    prepare_process(settings["trainer"])
    chosen = (settings["trainer"][key] for key in ("accelerator", "precision", "channels_last", "compile"))
    compute = choose_compute(*chosen)
    pl.seed_everything(int(settings["seed"]), workers=True, verbose=False)
    dataset = open_dataset(settings["data"], spec, classes=classes)
    _log_dataset(dataset)
    lineage = lineage_of_run(settings, dataset.classes)
    # By their names: an alias may hold another bundle when the run is resumed.
    settings["distill"] |= {"teachers": [teacher.name for teacher in lineage.teachers]}
    settings["model"] |= {"init_from": lineage.initial.name} if lineage.initial else {}
    module = build_module(settings, spec, dataset, compute)
    if resume:
        load_module(resume, like=module)
        log.info("Resuming from %s", resume)
    elif lineage.initial:
        start_from_bundle(module, lineage.initial, spec)
    loggers = build_loggers(settings["logger"], settings["wandb"], output, settings)
    failed = True
    try:
        targets = prepare_teaching(settings, module, dataset, lineage.teachers)
        trainer = fit(settings, module, dataset, compute, loggers, output, resume, targets)
        result = ship(settings, trainer, dataset, spec, loggers, output, lineage)
        failed = False
    finally:
        finish(loggers, failed=failed)
    return result


def fit(
    settings: Mapping[str, Any],
    module: ExpressionModule,
    dataset: FaceDataset,
    compute: Compute,
    loggers: list[Logger],
    output: Path,
    resume: Path | None = None,
    targets: NDArray[np.float32] | None = None,
) -> pl.Trainer:
    """Train a module as the config says, with `targets` from `distillation.soft_targets` where there are teachers.

    Returns:
        The trainer afterwards; the checkpoints are in `output/checkpoints`.

    Raises:
        SystemExit: if the run was interrupted; `last.ckpt` is saved then.
        ConfigError: for settings of the trainer that do not fit the data, or a run that diverges.
    """
    data = settings["data"]
    datamodule = FaceDataModule(
        dataset,
        batch_size=int(settings["batch_size"]),
        seed=int(settings["seed"]),
        balance=data["balance"],
        per_class=data["per_class"],
        targets=targets,
    )
    trainer = build_trainer(
        settings["trainer"],
        compute,
        epochs=int(settings["epochs"]),
        output=output,
        callbacks=build_callbacks(settings["callbacks"], output, progress=bool(settings["trainer"]["progress"])),
        loggers=loggers,
    )
    if resume:
        carry_curves(loggers, resume.parent.parent, int(read_checkpoint(resume).get("global_step", 0)))
    try:
        with _left_to_lightning(signal.SIGTERM):
            trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    except MisconfigurationException as error:
        raise trainer_refused(error) from error
    if trainer.should_stop:
        log.info("Stopped early after epoch %d: no better %s", trainer.current_epoch, settings["callbacks"]["monitor"])
    return trainer


@contextmanager
def _left_to_lightning(number: int) -> Iterator[None]:
    """Without the job's own handler of a signal, which Lightning would call at once, in the middle of a batch."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def ship(
    settings: Mapping[str, Any],
    trainer: pl.Trainer,
    dataset: FaceDataset,
    spec: InputSpec,
    loggers: list[Logger],
    output: Path,
    lineage: Lineage,
) -> TrainingResult:
    """Export a finished run's best checkpoint, measure the bundle on test, report and publish it.

    Publishing comes last, because a store may fail when everything else is done. Only the first process does any of it.
    What `lineage` were trained on counts as seen in training.
    """
    history, best = metric_history(trainer), best_checkpoint(trainer)
    if not trainer.is_global_zero:
        return TrainingResult(None, best, history, {})
    if not history:
        log.warning("Nothing was left to train: the checkpoint has seen epochs=%d already", settings["epochs"])
    if (output / CURVES).is_file():
        plot_learning_curves(output / CURVES, output / PLOTS_FOLDER / "learning_curves.png")
    log.info("Exporting the best checkpoint, %s", best)
    # With the draws of `invoke evaluate`, not those of this run's seed: the card can be measured again.
    bundle = build_bundle(
        load_module(best).network,
        settings["model"],
        dataset,
        spec,
        Store.local_folder(settings["store"]["uri"]),
        prefix=bundle_prefix(settings["bundle_name"], settings["model"]),
        export=ExportSettings(**settings["export"]),
        training=_record(settings, trainer) | lineage.record(),
        lineage=lineage.bundles,
    )
    metrics = bundle.metrics()
    report = _report(bundle, dataset, metrics, output)
    log_bundle(loggers, bundle, metrics, output / PLOTS_FOLDER / "examples.png")
    Console().print(metrics_table(metrics))
    log.info("Report: %s", report)
    log.info("Bundle: %s", bundle.path)
    publish(bundle, settings["store"]["uri"], settings["store"]["alias"])
    return TrainingResult(bundle, best, history, metrics)


def metric_history(trainer: pl.Trainer) -> list[dict[str, float]]:
    """The metrics of each epoch that a trainer has trained."""
    return _history(trainer).epochs


def _history(trainer: pl.Trainer) -> MetricHistory:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next(callback for callback in callbacks if isinstance(callback, MetricHistory))


def best_checkpoint(trainer: pl.Trainer) -> Path:
    """The best checkpoint of a run; of one that had nothing left to train, the one it resumed from.

    Raises:
        BundleError: if the run kept none.
    """
    callback = trainer.checkpoint_callback
    assert isinstance(callback, BestCheckpoint)
    best = callback.best_model_path or ("" if metric_history(trainer) else trainer.ckpt_path)
    # Only the first process needs the file, which may be on another machine's disk.
    if not best or (trainer.is_global_zero and not Path(best).is_file()):
        missing = f"{best} is gone" if best else f"{callback.monitor} was never measured"
        raise BundleError(f"The run has no best checkpoint: {missing}.", "Export its last.ckpt instead.")
    return Path(best)


def _record(settings: Mapping[str, Any], trainer: pl.Trainer) -> dict[str, Any]:
    """How the network was trained, for the bundle's spec."""
    on_gpu = trainer.strategy.root_device.type == "cuda"
    machine = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads, {cpu_name()}"
    record = {
        "command": command_line("train"),
        "seed": settings["seed"],
        "epochs": trainer.current_epoch,
        "seconds": round(_history(trainer).seconds, 1),
        "machine": f"{trainer.world_size} x {machine}",
    }
    return {key: value for key, value in record.items() if value is not None}


def _report(bundle: Bundle, dataset: FaceDataset, metrics: dict[str, Any], output: Path) -> Path:
    """Write the run's report: the bundle's figures and plots, learning curves, and pictures with their predictions.

    The pictures stay with the run, because bundles are passed on and the faces of a data set often may not be.
    """
    folder = output / PLOTS_FOLDER
    shutil.copytree(bundle.path / PLOTS_FOLDER, folder, dirs_exist_ok=True)
    rows = dataset.splits["test"][:_EXAMPLE_POOL]
    predictor = Predictor(bundle)
    probabilities = predictor.probabilities(predictor.logits(dataset.images[rows])[0])
    labels = dataset.labels[rows]
    shown = example_rows(labels, probabilities, EXAMPLE_COLUMNS, 0)
    plot_examples(dataset.images[rows], labels, probabilities, dataset.classes, shown, folder / "examples.png")
    return write_report(metrics, output, command=command_line("train"))


def _log_dataset(dataset: FaceDataset) -> None:
    counts = ", ".join(f"{len(rows):,} {split}" for split, rows in dataset.splits.items())
    log.info("Data set '%s': %s images of %s", dataset.name, counts, ", ".join(dataset.classes))
