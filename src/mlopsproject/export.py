"""Make a bundle from a checkpoint: `python -m mlopsproject.export checkpoint=runs/train/…/checkpoints/best.ckpt`."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from mlopsproject.config import command_line, require, run_job, values
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import DataError
from mlopsproject.core.spec import InputSpec
from mlopsproject.core.store import Store
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.tables import metrics_table
from mlopsproject.training.bundling import ExportSettings, build_bundle, bundle_prefix, publish
from mlopsproject.training.checkpoints import find_checkpoint, load_module


def export(config: DictConfig) -> Bundle:
    """Export as the config says, on the data the checkpoint was trained on, and print the bundle's test metrics.

    Raises:
        UserError: a missing or damaged checkpoint or data set.
    """
    settings = values(config)
    module = load_module(find_checkpoint(str(require(settings, "checkpoint")), Path("runs/train")))
    spec = InputSpec.model_validate(module.hparams["input_spec"])
    data = {**module.hparams["data"], "root": settings["data"]["root"]}
    if settings["data"]["name"]:
        data["name"] = settings["data"]["name"]
    dataset = open_dataset(data, spec, classes=module.hparams["classes"])
    if not settings["data"]["name"] and dataset.fingerprint != data["fingerprint"]:
        raise DataError(
            f"data set '{dataset.name}' is no longer the one this checkpoint was trained on.",
            f"Import that data again, or say data.name={dataset.name} to measure on what is there now.",
        )
    bundle = build_bundle(
        module.network,
        module.hparams["model"],
        dataset,
        spec,
        Store.local_folder(settings["store"]["uri"]),
        prefix=bundle_prefix(settings["bundle_name"], module.hparams["model"]),
        export=ExportSettings(**settings["export"]),
        seed=settings["seed"],
        command=command_line("export"),
    )
    publish(bundle, settings["store"]["uri"], settings["store"]["alias"])
    console = Console()
    console.print(metrics_table(bundle.metrics()))
    console.print(f"Bundle: {bundle.path}", soft_wrap=True, highlight=False)
    return bundle


def main() -> None:
    """Run from the command line."""
    run_job("export", export)


if __name__ == "__main__":
    main()
