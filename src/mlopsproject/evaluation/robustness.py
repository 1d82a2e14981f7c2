"""Robustness to corrupted, mirrored and shifted pictures, and rejection of pictures without a face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from mlopsproject.core.corrupt import CORRUPTIONS, SEVERITIES, corrupt
from mlopsproject.core.preprocess import mirrored
from mlopsproject.data.synthetic.non_faces import blank_pictures, noise_pictures, non_face_pictures

if TYPE_CHECKING:
    from mlopsproject.core.predictor import Predictor

Pictures = NDArray[np.uint8]

#: Shift of pictures, as a share of their side: four pixels of 64.
SHIFT = 1 / 16
#: Kind of generated pictures without a face → generator and number of pictures; there are only 256 blank ones.
_NON_FACES = {"blank": (blank_pictures, 256), "noise": (noise_pictures, 400), "non-face": (non_face_pictures, 400)}


def measure_robustness(
    predictor: Predictor,
    images: Pictures,
    labels: NDArray[Any],
    *,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = True,
) -> dict[str, Any]:
    """Measure accuracy on corrupted pictures, and consistency on mirrored and shifted ones.

    Args:
        predictor: of the model.
        images: uint8 `[N, C, H, W]` of the model's input, N at least 1.
        labels: int `[N]`.
        seed: of the corruptions.
        batch_size: images per run of the network.
        progress: show a progress bar.

    Returns:
        `images`; `accuracy` without corruption; `corruptions`: kind → accuracy at each severity, mild to severe;
        `corrupted_accuracy`, the mean of those; `flip_consistency` and `shift_consistency`: share of pictures whose
        answer stays the same when mirrored, and when shifted by `SHIFT` (mean of left, right, up and down).
    """

    def predicted(pictures: Pictures) -> NDArray[np.int64]:
        answers: NDArray[np.int64] = predictor.logits(pictures, batch_size)[0].argmax(axis=1)
        return answers

    plain, truth = predicted(images), np.asarray(labels)
    steps = [(kind, severity) for kind in CORRUPTIONS for severity in SEVERITIES]
    corruptions: dict[str, list[float]] = {kind: [] for kind in CORRUPTIONS}
    for kind, severity in track(steps, "Corrupting", transient=True, disable=not progress):
        right = predicted(corrupt(images, kind, severity, seed)) == truth
        corruptions[kind].append(float(right.mean()))
    pixels = max(1, round(SHIFT * images.shape[-1]))
    shifted = [float((predicted(moved) == plain).mean()) for moved in _shifts(images, pixels)]
    return {
        "images": len(images),
        "accuracy": float((plain == truth).mean()),
        "corruptions": corruptions,
        "corrupted_accuracy": float(np.mean(list(corruptions.values()))),
        "flip_consistency": float((predicted(mirrored(images)) == plain).mean()),
        "shift_consistency": float(np.mean(shifted)),
    }


def measure_rejection(
    predictor: Predictor, faces: NDArray[np.float64], *, seed: int = 0, batch_size: int = 64
) -> dict[str, dict[str, float]]:
    """Measure how often a model is "uncertain" on generated pictures without a face.

    Args:
        predictor: of the model.
        faces: confidence on pictures of faces, float `[N]`, 0-1, to compare with.
        seed: of the pictures.
        batch_size: images per run of the network.

    Returns:
        `blank` (one gray), `noise` and `non-face` (drawn objects, landscapes, buildings, writing, patterns, plots) →
        `images`, the share that is `uncertain`, and `auroc` of the confidence for faces against these pictures, 0-1,
        which does not depend on the abstain threshold.
    """
    found = {}
    for kind, (draw, count) in _NON_FACES.items():
        gray = draw(count, predictor.spec.input.size, seed)
        images = np.repeat(gray[:, None], predictor.spec.input.channels, axis=1)
        confidence = predictor.probabilities(predictor.logits(images, batch_size)[0]).max(axis=1)
        uncertain = float((confidence < predictor.abstain_threshold).mean())
        found[kind] = {"images": count, "uncertain": uncertain, "auroc": _auroc(faces, confidence)}
    return found


def _auroc(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """Area under the ROC curve: share of pairs in which `higher` is the larger one; ties count half."""
    from sklearn.metrics import roc_auc_score

    is_higher = np.repeat([True, False], [len(higher), len(lower)])
    return float(roc_auc_score(is_higher, np.concatenate([higher, lower])))


def _shifts(images: Pictures, pixels: int) -> list[Pictures]:
    """Pictures shifted up, down, left and right by `pixels`; border pixels are repeated."""
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode="edge")
    corners = [(0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)]
    return [np.ascontiguousarray(padded[:, :, y : y + height, x : x + width]) for y, x in corners]
