"""Which parts of a face an answer rests on: cover them one after the other and see what the answer loses."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.predictor import Prediction, Predictor

#: Cells of the map along each side.
GRID: Final = 8
#: Pixels of one inference: 64 pictures of 64 x 64, and fewer of larger ones, which bounds the memory.
_PIXELS: Final = 64 * 64 * 64


def occlusion_map(
    predictor: Predictor, pixels: NDArray[np.uint8], grid: int = GRID
) -> tuple[Prediction, NDArray[np.float64]]:
    """Explain the answer to one face (Zeiler and Fergus 2014).

    A patch of two by two cells of a grid is covered with the face's mean, at every place. A cell's value is the mean
    loss over the patches that cover it. The loss is of log-odds, `log(p / (1 - p))`: a probability near 1 hardly moves
    whatever is covered.

    Args:
        predictor: the model.
        pixels: uint8 `[C, S, S]`, as `preprocess.load_input` makes it.
        grid: cells along each side, at least 2.

    Returns:
        The answer, and float64 `[grid, grid]` from the upper left corner: the calibrated log-odds that the answer's
        class loses when the cell is covered; negative where the class gains. A loss of 1 divides its odds by e.
    """
    size = pixels.shape[1]
    cells = np.linspace(0, size, grid + 1).round().astype(int)
    mean = pixels.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    places = [(row, column) for row in range(grid - 1) for column in range(grid - 1)]
    covered = np.repeat(pixels[None], len(places) + 1, axis=0)
    for picture, (row, column) in zip(covered[1:], places, strict=True):
        picture[:, cells[row] : cells[row + 2], cells[column] : cells[column + 2]] = mean
    logits, _ = predictor.logits(covered, batch_size=max(1, _PIXELS // size**2))
    log_odds = _log_odds(logits.astype(np.float64) / predictor.temperature, int(logits[0].argmax()))
    losses = log_odds[0] - log_odds[1:]
    total, times = np.zeros((grid, grid)), np.zeros((grid, grid))
    for loss, (row, column) in zip(losses, places, strict=True):
        total[row : row + 2, column : column + 2] += loss
        times[row : row + 2, column : column + 2] += 1
    return predictor.prediction(predictor.probabilities(logits[:1])[0]), total / times


def _log_odds(logits: NDArray[np.float64], label: int) -> NDArray[np.float64]:
    """Log-odds of one class against all others, float64 `[N]`, from logits `[N, K]`; exact where it rounds to 1."""
    others = np.logaddexp.reduce(np.delete(logits, label, axis=1), axis=1)
    return np.asarray(logits[:, label] - others)
