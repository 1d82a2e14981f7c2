"""Heat maps of what an answer rests on, drawn to be laid over the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from mlopsproject.frontend.pictures import data_url

#: Colours of what speaks for an answer and against it.
FOR, AGAINST = (224, 89, 20), (38, 110, 200)
#: Side of a map as drawn, in pixels, and the opacity of its strongest cell, 0-255: the face shines through.
_SIDE: Final = 256
_OPACITY: Final = 215
#: Log-odds below which nothing is drawn: every part of the picture leaves the odds as they are, within five percent.
_LEAST: Final = 0.05


@dataclass(frozen=True)
class HeatMap:
    """A heat map as drawn.

    Attributes:
        source: a `data:` URL: orange where the answer rests, blue where the face speaks against it. The strongest cell
            of each map is equally strong.
        factor: by which the odds of the answer fall when the most orange cell is covered; below 1 they rise.
    """

    source: str
    factor: float


def draw_heat_map(losses: Sequence[Sequence[float]]) -> HeatMap | None:
    """Draw the heat map of an answer.

    Args:
        losses: of `/explain`: rows from the top, the log-odds that are lost when a cell is covered.

    Returns:
        `None` if no cell matters to the answer.

    Raises:
        ValueError: if the rows are empty or differ in length.
    """
    if not losses or not losses[0] or any(len(row) != len(losses[0]) for row in losses):
        raise ValueError("The service sent no heat map that can be drawn.")
    values = np.nan_to_num(np.array(losses, dtype=np.float64))
    strongest = float(np.abs(values).max())
    if strongest < _LEAST:
        return None
    smooth = np.asarray(Image.fromarray(values.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    opacity = np.minimum(np.abs(smooth) / strongest, 1) * _OPACITY  # bicubic curves overshoot
    colours = np.where(smooth[:, :, None] > 0, np.array(FOR), np.array(AGAINST))
    layer = Image.fromarray(np.dstack([colours, opacity]).round().astype(np.uint8), "RGBA")
    return HeatMap(data_url(layer), math.exp(min(float(values.max()), 700.0)))
