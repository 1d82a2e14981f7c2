"""Does a bundle answer on the original files as its checkpoint does on the training cache?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import BundleError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.data.dataset import FaceDataset
from mlopsproject.data.originals import read_originals
from mlopsproject.training.checkpoints import find_checkpoint, load_module, open_training_data
from mlopsproject.training.module import ExpressionModule


@dataclass(frozen=True)
class Parity:
    """How closely training and serving agree.

    Args:
        images: pictures taken from the original files.
        max_difference: largest difference of any class's probability between the checkpoint on the cached picture and
            the fp32 Predictor on the original file.
        int8_images: pictures that both precisions were asked about; 0 if the bundle has no int8.
        int8_agreement: share of those with the same first class; ``None`` if the bundle has no int8.
    """

    images: int
    max_difference: float
    int8_images: int
    int8_agreement: float | None


def parity_of_run(
    checkpoint: str, bundle: str, store: str | Path, root: str | Path, images: int
) -> dict[str, float | str | None]:
    """Compare a run's checkpoint with its bundle, on the data it was trained on.

    Args:
        checkpoint: a file, a run's folder or `latest`.
        bundle: name, alias or folder of the bundle made from it.
        store: where bundles are.
        root: where data sets are.
        images: how many original files are read.

    Raises:
        UserError: a missing checkpoint, bundle or data set, ones that do not belong together, or no images.
    """
    check_whole("parity.images", images, lowest=1)
    module = load_module(find_checkpoint(checkpoint, key="parity.checkpoint", file="best.ckpt"))
    opened = resolve_bundle(bundle, store)
    dataset = open_training_data(module, root)
    return {
        "bundle": opened.spec.name,
        "data set": dataset.name,
        **vars(measure_parity(module, opened, dataset, images=images)),
    }


def measure_parity(
    module: ExpressionModule, bundle: Bundle, dataset: FaceDataset, *, images: int, seed: int = 0
) -> Parity:
    """Compare a checkpoint with the bundle made from it, on the test split.

    Args:
        module: the checkpoint, in evaluation mode.
        bundle: made from it.
        dataset: at the checkpoint's input size.
        images: how many original files are read, drawn at random; the comparison with int8 uses the whole split.
        seed: of the draw.

    Raises:
        BundleError: if the bundle was made from other weights.
        DataError: if an original file is gone.
    """
    _check_weights(module, bundle)
    test = dataset.splits["test"]
    rows = np.random.default_rng(seed).permutation(test)[:images]
    predictor = Predictor(bundle, "fp32")
    paths = [str(path) for path in dataset.manifest.column("path").take(rows).to_pylist()]
    originals = read_originals(dataset.info, paths)
    answers = [list(answer.probabilities.values()) for answer in predictor.predict(originals[path] for path in paths)]
    with torch.no_grad():
        logits = module(torch.from_numpy(dataset.images[rows])).numpy()
    difference = float(np.abs(np.array(answers) - predictor.probabilities(logits)).max())
    if "int8" not in bundle.spec.precisions:
        return Parity(len(rows), difference, 0, None)
    pictures = dataset.images[test]
    fp32, int8 = (Predictor(bundle, precision).logits(pictures)[0].argmax(1) for precision in ("fp32", "int8"))
    return Parity(len(rows), difference, len(test), float((fp32 == int8).mean()))


def _check_weights(module: ExpressionModule, bundle: Bundle) -> None:
    shipped, own = load_file(bundle.file("weights.safetensors")), module.network.state_dict()
    if set(shipped) != set(own) or any(not torch.equal(shipped[name], own[name].cpu()) for name in own):
        raise BundleError(
            f"bundle {bundle.spec.name} was not made from that checkpoint.", "Give both of the same run, or export it."
        )
