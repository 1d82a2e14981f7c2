"""Make a bundle from a checkpoint, or files for phones from a bundle: `python -m mlopsproject.export format=NAME …`."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, output_folder, require, run_job, values
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_choice, check_whole
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
from mlopsproject.training.litert import LitertSettings, export_litert, litert_table

log = logging.getLogger("mlopsproject.export")


#: What can be made.
FORMATS = ("bundle", "litert")


def export(config: DictConfig) -> Bundle:
    """Make a bundle as the config says, on the data the checkpoint was trained on, and print the bundle's test metrics.

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


def export_for_phones(config: DictConfig, output: Path) -> Path:
    """Make LiteRT files of a bundle as the config says, and print how they compare with it.

    Args:
        config: as composed from `configs/export.yaml`.
        output: folder for the converter's messages.

    Returns:
        The folder with the files.

    Raises:
        UserError: as `export_litert`.
    """
    settings = values(config)
    folder, document = export_litert(
        LitertSettings(**settings["litert"]),
        settings["store"]["uri"],
        settings["data"]["root"],
        output / "converter.log",
    )
    console = Console()
    console.print(litert_table(document))
    console.print(f"LiteRT files: {folder}", soft_wrap=True, highlight=False)
    return folder


def run(config: DictConfig) -> None:
    """Make what `format` names.

    Raises:
        UserError: an unknown format, or what making it raises.
    """
    check_choice("format", config.format, FORMATS)
    if config.format == "litert":
        export_for_phones(config, output_folder())
    else:
        export(config)


def main() -> None:
    """Run from the command line."""
    run_job("export", run)


if __name__ == "__main__":
    main()
