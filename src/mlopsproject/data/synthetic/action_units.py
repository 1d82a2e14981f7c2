"""Emotions as facial action units (FACS): which muscles move, how strongly and how variably."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mlopsproject.core.classes import SEVEN
from mlopsproject.core.errors import DataError, nearest

#: The action units that the renderer moves, by their FACS number.
ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
    43: "eyes closing",
}

Range = tuple[float, float]


@dataclass(frozen=True)
class Prototype:
    """One way of showing an emotion.

    Args:
        weight: how often it is chosen among the emotion's prototypes.
        always: intensity range (0 to 1) of the units that define it.
        sometimes: probability and intensity range of the units that may join in.
    """

    weight: float
    always: Mapping[int, Range] = field(default_factory=dict)
    sometimes: Mapping[int, tuple[float, Range]] = field(default_factory=dict)


PROTOTYPES: dict[str, tuple[Prototype, ...]] = {
    "angry": (
        Prototype(
            0.6,
            {4: (0.75, 1.0), 7: (0.4, 0.9), 23: (0.5, 1.0)},
            {5: (0.4, (0.2, 0.5)), 24: (0.6, (0.4, 1.0)), 17: (0.3, (0.2, 0.5)), 9: (0.25, (0.2, 0.5))},
        ),
        Prototype(
            0.4,
            {4: (0.75, 1.0), 7: (0.3, 0.8), 10: (0.4, 0.9), 25: (0.6, 1.0), 16: (0.4, 0.8)},
            {9: (0.5, (0.2, 0.7)), 20: (0.5, (0.1, 0.4)), 26: (0.4, (0.2, 0.5)), 5: (0.4, (0.2, 0.5))},
        ),
    ),
    "disgust": (
        Prototype(
            1.0,
            {9: (0.6, 1.0), 10: (0.5, 1.0), 15: (0.3, 0.8), 7: (0.3, 0.8)},
            {4: (0.7, (0.2, 0.5)), 16: (0.5, (0.3, 0.7)), 17: (0.4, (0.2, 0.6)), 25: (0.4, (0.2, 0.5))},
        ),
    ),
    "fear": (
        Prototype(
            0.7,
            {1: (0.7, 1.0), 2: (0.3, 0.7), 4: (0.4, 0.7), 5: (0.7, 1.0), 20: (0.6, 1.0), 25: (0.5, 1.0)},
            {26: (0.5, (0.1, 0.4)), 16: (0.5, (0.2, 0.6))},
        ),
        Prototype(
            0.3,
            {1: (0.7, 1.0), 2: (0.3, 0.6), 4: (0.4, 0.7), 5: (0.7, 1.0), 20: (0.6, 1.0)},
            {15: (0.3, (0.1, 0.4)), 25: (0.5, (0.2, 0.5))},
        ),
    ),
    "happy": (
        Prototype(0.45, {6: (0.3, 0.9), 12: (0.65, 1.0)}, {25: (0.3, (0.1, 0.3)), 2: (0.15, (0.1, 0.4))}),
        Prototype(
            0.55, {6: (0.4, 1.0), 12: (0.7, 1.0), 25: (0.5, 1.0)}, {26: (0.4, (0.1, 0.45)), 1: (0.1, (0.1, 0.3))}
        ),
    ),
    "neutral": (Prototype(1.0),),
    "sad": (
        Prototype(
            0.75,
            {1: (0.6, 1.0), 4: (0.2, 0.5), 15: (0.6, 1.0), 43: (0.05, 0.3)},
            {17: (0.6, (0.3, 0.8)), 25: (0.1, (0.1, 0.3))},
        ),
        Prototype(
            0.25,
            {1: (0.7, 1.0), 4: (0.3, 0.6), 15: (0.7, 1.0), 7: (0.3, 0.7), 25: (0.3, 0.6)},
            {20: (0.4, (0.1, 0.4)), 17: (0.4, (0.2, 0.5)), 43: (0.5, (0.2, 0.6))},
        ),
    ),
    "surprise": (
        Prototype(0.6, {1: (0.7, 1.0), 2: (0.7, 1.0), 5: (0.5, 1.0), 25: (0.5, 1.0), 26: (0.6, 1.0)}),
        Prototype(0.4, {1: (0.7, 1.0), 2: (0.7, 1.0), 5: (0.5, 1.0), 25: (0.5, 1.0), 27: (0.5, 0.95)}),
    ),
}

_FAINT_SHARE = 0.11
_BLEND_SHARE = 0.18


@dataclass(frozen=True)
class Expression:
    """Intensities (0 to 1) of the action units of one face.

    Args:
        units: intensity per unit; units that are absent are at rest.
        asymmetry: -0.3 to 0.3; positive makes the right half of the image move more than the left.
    """

    units: Mapping[int, float] = field(default_factory=dict)
    asymmetry: float = 0.0

    def side(self, sign: int) -> dict[int, float]:
        """Intensities of every known unit on one half of the face (-1 left of the image, 1 right)."""
        factor = 1.0 + sign * self.asymmetry
        return {unit: min(1.0, max(0.0, self.units.get(unit, 0.0) * factor)) for unit in ACTION_UNITS}

    def both(self) -> dict[int, float]:
        """Intensities of every known unit, for parts that have no sides."""
        return {unit: self.units.get(unit, 0.0) for unit in ACTION_UNITS}


def check_emotion(emotion: str) -> str:
    """Return the emotion if faces can be rendered for it.

    Raises:
        DataError: if it is none of the seven classes.
    """
    if emotion not in PROTOTYPES:
        hint = nearest(emotion, SEVEN) or f"Choose from {', '.join(SEVEN)}."
        raise DataError(f"No synthetic face for class {emotion!r};", hint)
    return emotion


def sample_expression(emotion: str, rng: np.random.Generator) -> Expression:
    """Draw one face's expression of an emotion: prototype, strength, blend with another emotion, asymmetry.

    Raises:
        DataError: if the emotion is none of the seven classes.
    """
    units = _sample_units(check_emotion(emotion), rng)
    faint = rng.random() < _FAINT_SHARE
    strength = rng.uniform(0.25, 0.50) if faint else rng.uniform(0.75, 1.1)
    units = {unit: value * strength for unit, value in units.items()}
    if rng.random() < _BLEND_SHARE:
        weight = rng.uniform(0.08, 0.25)
        for unit, value in _sample_units(str(rng.choice(sorted(PROTOTYPES))), rng).items():
            units[unit] = units.get(unit, 0.0) + weight * value
    # Faces are never quite at rest: a little of everything, lids and lips most.
    for unit in ACTION_UNITS:
        units[unit] = float(np.clip(units.get(unit, 0.0) + abs(rng.normal(0.0, 0.03)), 0.0, 1.0))
    return Expression(units, float(np.clip(rng.normal(0.0, 0.09), -0.3, 0.3)))


def _sample_units(emotion: str, rng: np.random.Generator) -> dict[int, float]:
    prototypes = PROTOTYPES[emotion]
    weights = np.array([prototype.weight for prototype in prototypes])
    chosen = prototypes[int(rng.choice(len(prototypes), p=weights / weights.sum()))]
    units = {unit: float(rng.uniform(*span)) for unit, span in chosen.always.items()}
    for unit, (probability, span) in chosen.sometimes.items():
        if rng.random() < probability:
            units[unit] = float(rng.uniform(*span))
    return units
