"""Where the parts of a face lie once its action units have moved them: identity + expression → curves in face units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlopsproject.data.synthetic.action_units import Expression
from mlopsproject.data.synthetic.drawing import Points, spline
from mlopsproject.data.synthetic.identity import Identity

Units = dict[int, float]
SIDES = (-1, 1)


@dataclass(frozen=True)
class Eye:
    """One eye: lid curves run from the image's left to its right, [N, 2]."""

    centre: tuple[float, float]
    upper: Points
    lower: Points
    crease: Points
    openness: float

    @property
    def outline(self) -> Points:
        """The opening between the lids as a polygon."""
        return np.concatenate([self.upper, self.lower[::-1]])


@dataclass(frozen=True)
class Mouth:
    """Lips as four curves from corner to corner, each [N, 2]; the opening lies between the two inner ones."""

    upper_outer: Points
    upper_inner: Points
    lower_inner: Points
    lower_outer: Points
    opening: float
    teeth_upper: float
    teeth_lower: float

    @property
    def cavity(self) -> Points:
        """The opening between the lips as a polygon."""
        return np.concatenate([self.upper_inner, self.lower_inner[::-1]])


@dataclass(frozen=True)
class FaceShape:
    """All curves of one face."""

    outline: Points
    chin_y: float
    nose_tip: float
    eyes: tuple[Eye, Eye]
    brows: tuple[Points, Points]
    mouth: Mouth


def build_shape(person: Identity, expression: Expression) -> FaceShape:
    """Move the parts of a face at rest by its action units."""
    units = expression.both()
    chin = person.chin + 0.10 * units[26] + 0.15 * units[27] - 0.02 * units[17]
    left, right = (expression.side(sign) for sign in SIDES)
    return FaceShape(
        outline=_outline(person, chin),
        chin_y=chin,
        nose_tip=person.eye_y + person.nose_length - 0.02 * units[9],
        eyes=(_eye(person, left, -1), _eye(person, right, 1)),
        brows=(_brow(person, left, -1), _brow(person, right, 1)),
        mouth=_mouth(person, units, left, right),
    )


def _outline(person: Identity, chin: float) -> Points:
    wide, jaw = person.face_width, person.face_width * person.jaw
    right = [
        (0.0, -1.02),
        (0.55 * wide, -0.93),
        (0.93 * wide, -0.55),
        (1.00 * wide, -0.12),
        (0.97 * wide, 0.20),
        (0.93 * jaw, 0.50),
        (0.62 * jaw, chin - 0.12),
        (0.28 * jaw, chin - 0.01),
        (0.0, chin),
    ]
    left = [(-x, y) for x, y in reversed(right[1:-1])]
    return spline(right + left, closed=True)


def _eye(person: Identity, units: Units, sign: int) -> Eye:
    x, y, half = sign * person.eye_spacing, person.eye_y, person.eye_width
    lift = 1 + 1.0 * units[5] - 0.38 * units[7] - 0.30 * units[6] - 0.15 * units[4] - 1.0 * units[43]
    upper = max(0.004, 0.072 * person.eye_open * lift)
    lower = max(0.004, 0.040 * person.eye_open * (1 - 0.75 * units[6] - 0.5 * units[7] + 0.3 * units[5]))
    cheek = -0.014 * units[6] - 0.006 * units[12]
    t = np.linspace(-1, 1, 15)  # from the nose side (-1) to the temple (+1)
    # Grief lifts the inner end of the lid and lets the outer end hang; a frown covers the inner end.
    hang = 0.030 * max(0.0, units[1] - units[2]) * (1 - units[5]) - 0.022 * units[4] * (1 - units[1])
    tilt = -person.eye_tilt + hang
    line = y + tilt * t
    peak = -0.12 * (units[1] - units[4])
    upper_y = line - upper * np.clip(1 - np.abs(t - peak * (1 - t**2)) ** 2.3, 0, None)
    lower_y = line + lower * (1 - np.abs(t) ** 2.5) + cheek * (1 - t**2)
    lower_y = np.maximum(lower_y, upper_y + 0.004)
    across = x + sign * half * t
    gap = 0.030 + 0.010 * units[43] - 0.012 * units[4]
    crease = np.stack([across, upper_y - gap * (1.1 - 0.5 * t**2)], axis=1)
    order = slice(None, None, sign)  # left to right in the image
    return Eye(
        centre=(x, float(y - 0.012)),
        upper=np.stack([across, upper_y], axis=1)[order],
        lower=np.stack([across, lower_y], axis=1)[order],
        crease=crease[order],
        openness=upper + lower,
    )


def _brow(person: Identity, units: Units, sign: int) -> Points:
    """Centre line of a brow from its inner to its outer end, [N, 2]."""
    y = person.eye_y - person.brow_gap
    inner_x = person.eye_spacing - 0.19 - 0.05 * units[4]
    middle_x = person.eye_spacing + 0.02 - 0.02 * units[4]
    outer_x = person.eye_spacing + 0.21 - 0.01 * units[4]
    raised = units[1] * units[2]
    inner = -0.15 * units[1] + 0.125 * units[4] - 0.01 * units[2] - 0.01 * raised
    middle = -0.055 * units[1] - 0.10 * units[2] + 0.085 * units[4]
    outer = -0.10 * units[2] + 0.01 * units[4] + 0.045 * units[1] * (1 - units[2])
    points = [
        (inner_x, y + 0.02 + inner),
        ((inner_x + middle_x) / 2, y + 0.006 + (inner + middle) / 2 - 0.5 * person.brow_arch),
        (middle_x, y + middle - person.brow_arch),
        (outer_x - 0.06, y + 0.012 + (0.65 * outer + 0.35 * middle) - 0.5 * person.brow_arch),
        (outer_x, y + 0.045 + outer),
    ]
    curve: Points = spline(points, samples=4) * (sign, 1.0)
    return curve


def _mouth(person: Identity, units: Units, left: Units, right: Units) -> Mouth:
    t = np.linspace(-1, 1, 25)
    blend = (t + 1) / 2
    unit = {number: (1 - blend) * left[number] + blend * right[number] for number in (10, 12, 15, 16, 20)}
    narrow = (
        0.16 * units[23] + 0.10 * units[24] + 0.18 * units[27] + 0.14 * units[26] * (1 - units[20]) + 0.06 * units[17]
    )
    half = person.mouth_width * (1 + 0.34 * unit[12] + 0.38 * unit[20] + 0.06 * unit[15] - narrow)
    corner = person.rest_corner - 0.155 * unit[12] + 0.13 * unit[15] + 0.02 * unit[20]
    middle = person.mouth_y - 0.045 * units[17] - 0.015 * units[10] + 0.03 * units[12] - 0.035 * units[15]
    base = middle + corner * np.abs(t) ** 1.7
    open_ = (0.04 + 0.14 * units[12] + 0.07 * units[20]) * units[25] + 0.11 * units[26] + 0.20 * units[27]
    open_ *= 1 - 0.5 * units[24]
    square = 2.0 + 3.0 * units[20] + 2.0 * units[10] * units[25]
    dome = np.clip(1 - np.abs(t) ** square, 0, None)
    round_ = np.sqrt(np.clip(1 - t**2, 0, None))
    gape = min(1.0, units[27] + 0.6 * units[26]) * (1 - units[20])
    shape = gape * round_ + (1 - gape) * dome
    rise = (0.25 * open_ + 0.045 * unit[10] * min(1.0, 3 * units[25])) * shape
    drop = (0.75 * open_ + 0.040 * unit[16] * min(1.0, 3 * units[25])) * shape
    thin = 1 - 0.45 * units[23] - 0.5 * units[24]
    top = person.lip_upper * max(0.2, thin - 0.30 * units[12] - 0.2 * units[20])
    bottom = person.lip_lower * max(0.2, thin - 0.20 * units[12] - 0.15 * units[20] + 0.10 * units[17])
    bow = np.clip(1 - np.abs(t) ** 1.4, 0, None) * (1 - 0.28 * np.exp(-((t / 0.16) ** 2)))
    lift = 0.025 * unit[10] * (1 - t**2)
    upper_inner, lower_inner = base - rise, base + drop
    across = half * t
    opening = float((lower_inner - upper_inner).max())
    show = min(1.0, units[25] * 1.3) * min(1.0, 1.1 * units[12] + 0.8 * units[20] + 0.9 * units[10] + 0.15 * units[26])
    bare = min(1.0, units[25] * 1.2) * min(1.0, 0.8 * units[16] + 0.4 * units[10])
    return Mouth(
        upper_outer=np.stack([across, upper_inner - lift - top * bow], axis=1),
        upper_inner=np.stack([across, upper_inner], axis=1),
        lower_inner=np.stack([across, lower_inner], axis=1),
        lower_outer=np.stack([across, lower_inner + bottom * np.clip(1 - t**2, 0, None) ** 0.7], axis=1),
        opening=opening,
        teeth_upper=show,
        teeth_lower=bare,
    )
