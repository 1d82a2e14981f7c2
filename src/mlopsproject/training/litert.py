"""From a bundle to a folder of LiteRT files for phones and small computers, which must answer as the bundle does."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_text, check_whole
from mlopsproject.core.errors import DataError, UserError
from mlopsproject.core.files import sha256_file, staging_folder, swap_in, sync
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import normalise
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.spec import Precision
from mlopsproject.data.opening import open_dataset
from mlopsproject.evaluation.litert_latency import DOCUMENT
from mlopsproject.training.litert_environment import run_converter

log = logging.getLogger(__name__)

FILES: Final[dict[Precision, str]] = {"fp32": "model.tflite", "int8": "model.int8.tflite"}
#: What the files must keep to.
MAX_DIFFERENCE: Final = 1e-3
MIN_AGREEMENT: Final = 0.99


@dataclass(frozen=True)
class LitertSettings:
    """What is exported; each field is the config key `litert.` of that name.

    Attributes:
        bundle: name, alias or folder.
        data: the data set whose test split the bundle and the files are asked about.
        images: most pictures of it; `None` for all.
        output: folder for folders of the bundles' names.

    Raises:
        ConfigError: for a value that is not possible.
    """

    bundle: str
    data: str
    images: int | None
    output: str

    def __post_init__(self) -> None:
        for name in ("bundle", "data", "output"):
            check_text(f"litert.{name}", getattr(self, name))
        check_whole("litert.images", self.images, lowest=1, optional=True)


@dataclass(frozen=True)
class Agreement:
    """How a file's answers compare with those of the bundle in fp32, on the same pictures.

    Attributes:
        max_difference: largest difference of any class's probability.
        same_class: share of the pictures with the same most probable class.
    """

    max_difference: float
    same_class: float


def export_litert(settings: LitertSettings, store: str, root: str, messages: Path) -> tuple[Path, dict[str, Any]]:
    """Convert a bundle; a failure leaves nothing behind, and an earlier export as it is.

    Args:
        settings: see there.
        store: where names and aliases of bundles are looked up.
        root: where data sets live.
        messages: file for what the converter prints.

    Returns:
        The folder with the files, and the content of its `litert.json`.

    Raises:
        UserError: a missing or damaged bundle or data set, a converter that cannot be installed or fails, a full disk,
            or files that answer otherwise than the bundle.
    """
    bundle = resolve_bundle(settings.bundle, store)
    bundle.file("weights.safetensors")
    target = Path(settings.output) / bundle.name
    if target.exists() and not (target / DOCUMENT).is_file():
        raise UserError(f"{target} is there already and is no LiteRT export.", "Move it, or choose another output.")
    pictures = _pictures(bundle, settings, root)
    with staging_folder(target.parent) as staging:
        files = staging / "files"
        files.mkdir()
        # Not `np.save`, whose error does not say that the disk is full.
        np.savez(files / "inputs.npz", image=normalise(pictures, bundle.spec.input.mean, bundle.spec.input.std))
        run_converter(bundle.path, files, messages)
        with np.load(files / "logits.npz") as answers:
            found = compare(bundle, pictures, {name: answers[name] for name in FILES})
        check(bundle.name, found, len(pictures))
        for name in ("inputs.npz", "logits.npz"):
            (files / name).unlink()
        gate = {"data": settings.data, "split": "test", "images": len(pictures)}
        document = describe(bundle, files, gate, found)
        (files / DOCUMENT).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for item in files.iterdir():
            item.chmod(0o644)
            sync(item)
        swap_in(files, target, staging / "replaced")
    return target, document


def compare(
    bundle: Bundle, pictures: NDArray[np.uint8], answers: Mapping[Precision, NDArray[np.float32]]
) -> dict[Precision, Agreement]:
    """Compare what files answer with what the bundle answers in fp32.

    Args:
        bundle: that they were made from.
        pictures: uint8 `[N, C, H, W]`.
        answers: the files' logits, `[N, K]` each.
    """
    predictor = Predictor(bundle, "fp32")
    expected = predictor.probabilities(predictor.logits(pictures)[0])
    given = {name: predictor.probabilities(logits) for name, logits in answers.items()}
    return {
        name: Agreement(
            max_difference=float(np.abs(values - expected).max()),
            same_class=float((values.argmax(1) == expected.argmax(1)).mean()),
        )
        for name, values in given.items()
    }


def check(name: str, found: Mapping[Precision, Agreement], images: int) -> None:
    """Refuse files that answer otherwise than the bundle.

    Args:
        name: of the bundle.
        found: by precision.
        images: number of pictures.

    Raises:
        UserError: saying by how much.
    """
    wrong = []
    # Written so that what is not a number is refused.
    if not found["fp32"].max_difference <= MAX_DIFFERENCE:
        wrong.append(f"fp32 up to {found['fp32'].max_difference:.2g} in a probability (allowed: {MAX_DIFFERENCE:g})")
    if not found["int8"].same_class >= MIN_AGREEMENT:
        wrong.append(f"int8 in {1 - found['int8'].same_class:.1%} of the classes (allowed: {1 - MIN_AGREEMENT:.0%})")
    if wrong:
        raise UserError(
            f"The LiteRT files differ from {name} on {images} pictures: {'; '.join(wrong)}; nothing was written.",
            "Name other pictures with litert.data=, or another bundle.",
        )


def describe(
    bundle: Bundle, files: Path, gate: Mapping[str, Any], found: Mapping[Precision, Agreement]
) -> dict[str, Any]:
    """What a program needs to know to use the files: the content of `litert.json`.

    Args:
        bundle: that they were made from.
        files: the folder that holds them.
        gate: what they were compared on.
        found: by precision.
    """
    spec = bundle.spec
    # Both compute in fp32: their temperature and threshold are the ones fitted for that, not for the bundle's int8.
    fitted = spec.precisions["fp32"]
    return {
        "bundle": bundle.name,
        "classes": list(spec.classes),
        "input": spec.input.model_dump(mode="json"),
        "tensors": {
            "image": {
                "dtype": "float32",
                "shape": [1, spec.input.channels, spec.input.size, spec.input.size],
                "values": "the whole picture resized to a square; (pixel / 255 - mean) / std per channel",
            },
            "logits": {
                "dtype": "float32",
                "shape": [1, len(spec.classes)],
                "values": "probabilities are softmax(logits / temperature); uncertain: the largest < abstain_threshold",
            },
        },
        "precisions": {
            name: {
                "file": file,
                "bytes": (files / file).stat().st_size,
                "sha256": sha256_file(files / file),
                "temperature": fitted.temperature,
                "abstain_threshold": fitted.abstain_threshold,
                **asdict(found[name]),
            }
            for name, file in FILES.items()
        },
        "compared": {**gate, "with": "the bundle in fp32"},
    }


def litert_table(document: Mapping[str, Any]) -> Table:
    """Sizes of the files and how they compare with the bundle.

    Args:
        document: content of `litert.json`.
    """
    compared = document["compared"]
    title = f"{document['bundle']} on {compared['data']}/{compared['split']}, {compared['images']:,} images"
    table = Table(title=title)
    table.add_column("file")
    for column in ("MB", "largest difference of a probability", "same class, %"):
        table.add_column(column, justify="right")
    most, least = {"fp32": f" [dim](at most {MAX_DIFFERENCE:g})"}, {"int8": f" [dim](at least {100 * MIN_AGREEMENT:g})"}
    for name, entry in document["precisions"].items():
        table.add_row(
            entry["file"],
            f"{entry['bytes'] / 1e6:.2f}",
            f"{entry['max_difference']:.1e}{most.get(name, '')}",
            f"{100 * entry['same_class']:.1f}{least.get(name, '')}",
        )
    return table


def _pictures(bundle: Bundle, settings: LitertSettings, root: str) -> NDArray[np.uint8]:
    """Pictures of the data set's test split at the bundle's input size.

    Raises:
        UserError: if there are none.
    """
    data = {"name": settings.data, "root": root}
    dataset = open_dataset(data, bundle.spec.input, classes=bundle.spec.classes, complete=False)
    rows = np.random.default_rng(0).permutation(dataset.splits["test"])[: settings.images]
    if not len(rows):
        raise DataError(f"Data set {settings.data} has no test pictures.", "Name another one: -o litert.data=NAME")
    pictures: NDArray[np.uint8] = dataset.images[np.sort(rows)]
    return pictures
