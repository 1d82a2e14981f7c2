"""From a trained network to a sealed bundle: export, quantise, calibrate on validation, measure on test."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlopsproject.core.bundle import Bundle, is_bundle_name, seal_bundle
from mlopsproject.core.checks import check_choice, check_flag, check_number, check_whole
from mlopsproject.core.errors import ConfigError, StoreError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.spec import InputSpec, ModelSpec, Precision, PrecisionSpec
from mlopsproject.core.store import Store
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.import_options import import_command
from mlopsproject.data.synthetic.recognise import is_shipped_sample
from mlopsproject.evaluation.calibration import fit_abstention, fit_temperature, softmax
from mlopsproject.evaluation.evaluator import evaluate_bundle
from mlopsproject.evaluation.model_card import write_model_card
from mlopsproject.evaluation.reference import build_reference, reference_histograms, train_hashes
from mlopsproject.training.export import check_finite, export_onnx, quantise_onnx, save_weights
from mlopsproject.training.networks import Network, count_macs, count_parameters

log = logging.getLogger(__name__)

FILES: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model.int8.onnx"}


@dataclass(frozen=True)
class ExportSettings:
    """How a network is exported.

    Args:
        int8: write an int8 network beside the fp32 one.
        default_precision: which of them a Predictor takes when it is not told.
        calibration_images: training pictures that set the int8 ranges.
        max_risk: error rate among answered validation pictures that the abstain threshold aims at.
        min_coverage: share of validation pictures that must still be answered.
        min_rejection: share of the validation pictures of other classes that must be uncertain.
        bootstrap_samples: of the 95 % intervals.
        robustness_images: test pictures that robustness is measured on; 0 leaves it out.

    Raises:
        ConfigError: for a value that no export can have.
    """

    int8: bool = True
    default_precision: Precision = "fp32"
    calibration_images: int = 512
    max_risk: float = 0.10
    min_coverage: float = 0.5
    min_rejection: float = 0.0
    bootstrap_samples: int = 1000
    robustness_images: int = 1000

    def __post_init__(self) -> None:
        check_flag("export.int8", self.int8)
        check_choice("export.default_precision", self.default_precision, FILES)
        if self.default_precision == "int8" and not self.int8:
            raise ConfigError("export.default_precision=int8, but export.int8=false.", "Use fp32, or export int8.")
        check_whole("export.calibration_images", self.calibration_images, lowest=1)
        check_whole("export.bootstrap_samples", self.bootstrap_samples, lowest=0)
        check_whole("export.robustness_images", self.robustness_images, lowest=0)
        check_number("export.max_risk", self.max_risk, lowest=0, highest=1)
        check_number("export.min_coverage", self.min_coverage, lowest=0, highest=1)
        check_number("export.min_rejection", self.min_rejection, lowest=0, highest=1)


def build_bundle(
    network: Network,
    model: Mapping[str, Any],
    dataset: FaceDataset,
    spec: InputSpec,
    store: Path,
    *,
    prefix: str,
    export: ExportSettings,
    seed: int = 0,
    training: Mapping[str, Any],
    lineage: Sequence[Bundle] = (),
) -> Bundle:
    """Export a network and seal it as a bundle; a failure leaves nothing behind.

    Temperature and abstain threshold are fitted per precision on validation pictures; the metrics are those of the
    exported default precision on the test split.

    Args:
        network: trained.
        model: its config, recorded in the spec.
        dataset: the data it was trained on, loaded at `spec`.
        spec: the network's input.
        store: the folder that the bundle goes into.
        prefix: first part of the bundle's name.
        export: see `ExportSettings`.
        seed: of the calibration sample and the bootstrap.
        training: how it was trained, for the record: `command` and, where known, `seed`, `epochs`, `seconds` and more.
        lineage: bundles that the network learnt from or began as; their training pictures count as seen.

    Returns:
        The sealed bundle.

    Raises:
        BundleError: if the network holds weights that are not finite.
    """
    check_finite(network)
    store.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=store))
    try:
        export_onnx(network, spec, staging / FILES["fp32"])
        save_weights(network, staging / "weights.safetensors")
        if export.int8:
            log.info("Quantising to int8 with %d training pictures", export.calibration_images)
            sample = _calibration_sample(dataset, export.calibration_images, seed)
            quantise_onnx(staging / FILES["fp32"], staging / FILES["int8"], sample, spec)
        draft = _draft_spec(network, model, dataset, spec, export)
        record = {"import_command": import_command(dataset.info), **training}
        draft = draft.model_copy(update={"training": record})
        draft = _calibrate(staging, draft, dataset, export)
        predictor = _open(staging, draft)
        reference = build_reference(predictor, dataset)
        pq.write_table(reference, staging / "reference.parquet")
        pq.write_table(train_hashes(dataset, lineage), staging / "train_hashes.parquet")
        draft = draft.model_copy(update={"reference_histograms": reference_histograms(reference)})
        predictor = _open(staging, draft)
        metrics = evaluate_bundle(
            predictor,
            dataset,
            "test",
            staging,
            bootstrap_samples=export.bootstrap_samples,
            seed=seed,
            robustness_images=export.robustness_images,
        )
        headline = {f"test/{name}": metrics[name] for name in ("accuracy", "macro_f1", "ece")}
        draft = draft.model_copy(update={"metrics": headline})
        write_model_card(draft, metrics, staging / "MODEL_CARD.md")
        return seal_bundle(staging, draft, store, prefix)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def bundle_prefix(name: object, model: Mapping[str, Any]) -> str:
    """First part of a bundle's name: as asked for, or the network's class in kebab case, such as `se-conv-net`.

    Raises:
        ConfigError: if no bundle's name can start like that.
    """
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", str(model["_target_"]).rpartition(".")[2])
    prefix = "-".join(words).lower() if name is None else str(name)
    if not is_bundle_name(f"{prefix}-{'0' * 12}"):
        raise ConfigError(
            f"bundle_name={prefix!r} cannot start a bundle's name.", "Use letters, digits, '.', '_', '-'."
        )
    return prefix


def check_shipping(settings: Mapping[str, Any]) -> None:
    """Refuse what would only fail when a bundle is made and published, which may be hours later.

    Args:
        settings: `export`, `bundle_name` and `store` as in `configs/train.yaml`.

    Raises:
        UserError: naming the key.
    """
    ExportSettings(**settings["export"])
    if settings["bundle_name"] is not None:
        bundle_prefix(settings["bundle_name"], {"_target_": ""})
    uri, alias = settings["store"]["uri"], settings["store"]["alias"]
    if not isinstance(uri, str) or not uri:
        raise ConfigError(f"store.uri={uri} is not possible.", "Give a folder, gs://… or s3://….")
    key = f"store.uri={uri}"
    try:
        Store(uri).check_protocol()
        if alias is not None:
            key = f"store.alias={alias}"
            Store.check_alias(str(alias))
    except StoreError as error:
        raise ConfigError(f"{key}: {error.message}", error.fix) from error


def publish(bundle: Bundle, uri: str, alias: object) -> None:
    """Upload a bundle where the store is a bucket, and point an alias at it.

    Raises:
        StoreError: if the store cannot be written; the local bundle stays, and the error says where.
    """
    store = Store(uri)
    try:
        store.publish(bundle.path)
        if alias is not None:
            store.set_alias(str(alias), bundle.name)
    except StoreError as error:
        words = ["uv", "run", "invoke", "promote", "-o", f"bundle={bundle.path}", "-o", f"store.uri={uri}"]
        again = f"To publish it: {shlex.join([*words, '-o', f'alias={alias}'])}" if alias is not None else ""
        raise type(error)(error.message, " ".join(filter(None, [error.fix, again]))) from error


def _calibration_sample(dataset: FaceDataset, count: int, seed: int) -> Any:
    rows = dataset.splits["train"]
    chosen = np.random.default_rng(seed).choice(rows, size=min(count, len(rows)), replace=False)
    return dataset.images[np.sort(chosen)]


def _open(staging: Path, spec: ModelSpec, precision: Precision | None = None) -> Predictor:
    """A Predictor over the unfinished bundle."""
    (staging / "spec.json").write_text(spec.model_dump_json(indent=2), encoding="utf-8")
    return Predictor.from_folder(staging, precision=precision, verify=False)


def _calibrate(staging: Path, draft: ModelSpec, dataset: FaceDataset, export: ExportSettings) -> ModelSpec:
    """Fit temperature and abstain threshold of each precision on the validation pictures."""
    rows = dataset.splits["validation"]
    labels = dataset.labels[rows]
    others = dataset.others.get("validation", rows[:0])
    fitted: dict[Precision, PrecisionSpec] = {}
    for precision, entry in draft.precisions.items():
        predictor = _open(staging, draft, precision)
        logits, _ = predictor.logits(dataset.images[rows])
        temperature = fit_temperature(logits, labels)
        probabilities = softmax(logits, temperature)
        correct = probabilities.argmax(1) == labels
        other = softmax(predictor.logits(dataset.images[others])[0], temperature).max(1) if len(others) else None
        fit = fit_abstention(
            probabilities.max(1),
            correct,
            max_risk=export.max_risk,
            min_coverage=export.min_coverage,
            other=other,
            min_rejection=export.min_rejection,
        )
        rejected = float((other < fit.threshold).mean()) if other is not None else 0.0
        if not fit.attained:
            log.warning(
                "%s: no threshold keeps to max_risk, min_coverage and min_rejection of export; on validation %.1f %% "
                "of the answers are wrong at %.0f %% coverage, and %.0f %% of other faces are uncertain",
                precision,
                100 * fit.risk,
                100 * fit.coverage,
                100 * rejected,
            )
        fitted[precision] = entry.model_copy(update={"temperature": temperature, "abstain_threshold": fit.threshold})
        log.info(
            "%s: validation accuracy %.4f, temperature %.3f, abstains below %.3f",
            precision,
            correct.mean(),
            temperature,
            fit.threshold,
        )
    return draft.model_copy(update={"precisions": fitted})


def _draft_spec(
    network: Network, model: Mapping[str, Any], dataset: FaceDataset, spec: InputSpec, export: ExportSettings
) -> ModelSpec:
    precisions: dict[Precision, PrecisionSpec] = {"fp32": PrecisionSpec(file=FILES["fp32"])}
    if export.int8:
        precisions["int8"] = PrecisionSpec(file=FILES["int8"])
    return ModelSpec(
        classes=dataset.classes,
        input=spec,
        precisions=precisions,
        default_precision=export.default_precision,
        network={
            **model,
            "parameters": count_parameters(network),
            "macs": count_macs(network, spec.channels, spec.size),
        },
        training_data={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "synthetic": is_shipped_sample(dataset.manifest),
            **{split: len(rows) for split, rows in dataset.splits.items()},
        },
        git_commit=git_commit(),
        library_versions=library_versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def git_commit() -> str:
    """The commit of the working directory, with `-dirty` when it has changes; empty outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return done.stdout.strip() if done.returncode == 0 else ""


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide a model's numbers."""
    names = ("mlopsproject", "torch", "pytorch-lightning", "onnx", "onnxruntime", "numpy", "pillow")
    return {name: importlib.metadata.version(name) for name in names}
