"""Make a bundle from a checkpoint: `python -m mlopsproject.export checkpoint=runs/train/…/checkpoints/best.ckpt`."""

from __future__ import annotations

import logging

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, require, run_job, values
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_whole
from mlopsproject.core.store import Store
from mlopsproject.evaluation.tables import metrics_table
from mlopsproject.training.bundling import ExportSettings, build_bundle, bundle_prefix, check_shipping, publish
from mlopsproject.training.callbacks import training_record
from mlopsproject.training.checkpoints import (
    find_checkpoint,
    load_module,
    open_training_data,
    read_checkpoint,
)
from mlopsproject.training.lineage import lineage_of_module

log = logging.getLogger("mlopsproject.export")


def export(config: DictConfig) -> Bundle:
    """Export as the config says, on the data the checkpoint was trained on, and print the bundle's test metrics.

    Raises:
        UserError: a setting that no export can have, a missing or damaged checkpoint or data set, or a store that
            cannot be written: the local bundle stays then.
    """
    settings = values(config)
    check_shipping(settings)
    check_whole("seed", settings["seed"], lowest=0)
    checkpoint = find_checkpoint(str(require(settings, "checkpoint")), key="checkpoint", file="best.ckpt")
    log.info("Exporting %s", checkpoint)
    module = load_module(checkpoint)
    dataset = open_training_data(module, settings["data"]["root"], name=settings["data"]["name"])
    lineage = lineage_of_module(module, settings["store"]["uri"])
    record = training_record(read_checkpoint(checkpoint)) | lineage.record()
    bundle = build_bundle(
        module.network,
        module.hparams["model"],
        dataset,
        module.input_spec,
        Store.local_folder(settings["store"]["uri"]),
        prefix=bundle_prefix(settings["bundle_name"], module.hparams["model"]),
        export=ExportSettings(**settings["export"]),
        seed=settings["seed"],
        training={**record, "export_command": command_line("export")},
        lineage=lineage.bundles,
    )
    console = Console()
    console.print(metrics_table(bundle.metrics()))
    console.print(f"Bundle: {bundle.path}", soft_wrap=True, highlight=False)
    publish(bundle, settings["store"]["uri"], settings["store"]["alias"])
    return bundle


def main() -> None:
    """Run from the command line."""
    run_job("export", export)


if __name__ == "__main__":
    main()
