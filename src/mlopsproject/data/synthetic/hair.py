"""Hair behind and in front of the head, beards, glasses, ears and neck."""

from __future__ import annotations

import numpy as np

from mlopsproject.data.synthetic.drawing import Canvas, FloatImage, Points, ellipse, ribbon, spline
from mlopsproject.data.synthetic.geometry import SIDES, FaceShape
from mlopsproject.data.synthetic.identity import Identity

#: How far hair comes down at the temples, per style.
_SIDES = {"short": -0.22, "parted": -0.1, "fringe": 0.1, "long": 0.35, "curly": 0.05, "bun": -0.35, "cap": -0.35}


def paint_behind(
    canvas: Canvas, albedo: FloatImage, alpha: FloatImage, shape: FaceShape, person: Identity, texture: FloatImage
) -> None:
    """Back hair, shoulders, neck and ears: what the face covers. Marks the painted area in `alpha`."""
    wide, chin, skin = person.face_width, shape.chin_y, person.skin
    neck = 0.62 * wide
    layers: list[tuple[Points, float | FloatImage]] = [
        (np.array([(-1.3, 1.3), (-1.1, 1.12), (-0.4, 0.98), (0.4, 0.98), (1.1, 1.12), (1.3, 1.3)]), person.cloth),
        (np.array([(-neck, 0.4), (neck, 0.4), (1.1 * neck, 1.3), (-1.1 * neck, 1.3)]), 0.62 * skin),
    ]
    if person.hair_style in {"long", "headscarf"}:
        layers.insert(0, (_veil(wide + 0.16), _top_texture(person, texture)))
    else:
        for radius_x, radius_y, value in ((0.062, 0.145, 0.86 * skin), (0.030, 0.090, 0.60 * skin)):
            ears = [ellipse(s * (wide + 0.027), person.eye_y + 0.12, radius_x, radius_y, -0.12 * s) for s in SIDES]
            layers += [(ear, value) for ear in ears]
    if person.hair_style == "bun":
        layers.append((ellipse(person.parting * 0.2, -1.08, 0.26, 0.2), _top_texture(person, texture)))
    for polygon, paint in layers:
        canvas.fill(albedo, polygon, paint, soft=0.008)
        canvas.fill(alpha, polygon, 1.0, soft=0.008)
    canvas.scale(albedo, ellipse(0.0, chin + 0.08, 0.8 * wide, 0.14), 0.55, soft=0.05)


def paint_front(canvas: Canvas, albedo: FloatImage, alpha: FloatImage, person: Identity, texture: FloatImage) -> None:
    """Hair, cap or scarf that covers forehead and temples. Marks the painted area in `alpha`."""
    if person.hair_style == "bald":
        return
    value = _top_texture(person, texture)
    if person.hair_style == "headscarf":
        _paint_scarf(canvas, albedo, alpha, person, value)
        return
    polygon = _hair_front(person)
    soft = 0.016 if person.hair_style == "curly" else 0.009
    canvas.scale(albedo, polygon + np.array([0.0, 0.035]), 0.82, soft=0.025)
    canvas.fill(albedo, polygon, value, 0.97, soft=soft)
    canvas.fill(alpha, polygon, 1.0, soft=soft)
    if person.hair_style == "cap":
        line, end = person.hair_line, person.face_width + 0.06
        brim = spline([(-end, line + 0.16), (0.0, line + 0.02), (end, line + 0.16)])
        canvas.fill(albedo, ribbon(brim, 0.09), np.float32(0.6) * value, soft=0.008)


def _veil(out: float) -> Points:
    right = [(0.75 * out, -0.98), (out, -0.45), (out + 0.02, 0.3), (out + 0.06, 1.3)]
    return spline([(0.0, -1.12), *right, *_mirror(right)], closed=True)


def _hair_front(person: Identity) -> Points:
    wide, line, part = person.face_width, person.hair_line, person.parting
    style, out = person.hair_style, person.face_width + 0.05
    side = _SIDES[style]
    crown = [(-out, side), (-out - 0.01, -0.5), (-0.72 * out, -0.98)]
    if style == "fringe":
        low = person.eye_y - person.brow_gap - 0.05
        front = [(0.93 * wide, -0.2), (0.82 * wide, low), (0.3, low + 0.03)]
        middle = [(0.0, low)]
    elif style in {"parted", "long"}:
        front = [(0.92 * wide, -0.15), (0.84 * wide, line + 0.2)]
        middle = [(part + 0.18, line - 0.02), (part, line - 0.12), (part - 0.18, line)]
    elif style == "cap":
        front = [(wide, line + 0.12), (0.5, line)]
        middle = [(0.0, line - 0.03)]
    else:
        front = [(0.96 * wide, side), (0.88 * wide, -0.45), (0.6 * wide, line + 0.02)]
        middle = [(0.0, line)]
    outline = spline([*crown, (0.0, -1.2), *_mirror(crown), *front, *middle, *_mirror(front)], closed=True)
    if style == "curly":
        angle = np.arctan2(outline[:, 1] + 0.4, outline[:, 0])
        outline = outline * (1 + 0.035 * np.sin(13 * angle) + 0.02 * np.sin(29 * angle))[:, None]
    return outline


def _mirror(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The other half of a symmetric curve, walked back."""
    return [(-x, y) for x, y in reversed(points)]


def _paint_scarf(
    canvas: Canvas, albedo: FloatImage, alpha: FloatImage, person: Identity, value: FloatImage | float
) -> None:
    wide = person.face_width
    ring = ellipse(0.0, 0.02, wide + 0.06, 0.93, count=40)
    hole = ellipse(0.0, 0.08, 0.88 * wide, 0.80, count=40)
    for layer, paint in ((albedo, value), (alpha, 1.0)):
        inside = canvas.mask(ring, 0.01) * (1 - canvas.mask(hole, 0.012))
        layer += (paint - layer) * inside


def paint_beard(canvas: Canvas, albedo: FloatImage, shape: FaceShape, person: Identity, texture: FloatImage) -> None:
    """Stubble, moustache, goatee or full beard, under the lips (paint the mouth afterwards)."""
    if person.beard == "none":
        return
    mouth, chin = shape.mouth, shape.chin_y
    strength = {"stubble": 0.24, "moustache": 0.85, "goatee": 0.85, "full": 0.88}[person.beard]
    value = np.clip(person.hair * 0.9 + 0.03 + 0.035 * texture, 0.0, 1.0)
    half = mouth.upper_outer[-1, 0]
    top = float(mouth.upper_outer[:, 1].min())
    lip = [
        (-half - 0.02, mouth.upper_outer[0, 1] + 0.02),
        (-0.08, top - 0.035),
        (0.08, top - 0.035),
        (half + 0.02, mouth.upper_outer[-1, 1] + 0.02),
    ]
    canvas.fill(albedo, ribbon(spline(lip), 0.06), value, strength, soft=0.014)
    if person.beard == "goatee":
        canvas.fill(albedo, ellipse(0.0, chin - 0.10, 0.15, 0.12), value, strength, soft=0.02)
    elif person.beard in {"stubble", "full"}:
        wide, jaw = person.face_width, person.face_width * person.jaw
        low = float(mouth.lower_outer[:, 1].max())
        side = (half + 0.06, float(mouth.lower_outer[-1, 1]) + 0.04)
        edge = [(wide, -0.02), (0.9 * wide, 0.22), (0.72 * wide, 0.44), side, (0.12, low + 0.05)]
        right = [(0.66 * jaw, chin - 0.08), (1.02 * jaw, 0.45), *edge]
        around = [(0.0, chin + 0.02), *right, (0.0, low + 0.01), *_mirror(right)]
        canvas.fill(albedo, np.array(around), value, strength, soft=0.035, clip=canvas.mask(shape.outline))


def paint_glasses(canvas: Canvas, albedo: FloatImage, person: Identity) -> None:
    """Frames with a faint reflection on the glass."""
    if person.glasses == "none":
        return
    x, y, frame = person.eye_spacing + 0.01, person.eye_y + 0.01, 0.10 if person.skin > 0.4 else 0.04
    tall = 0.14 if person.glasses == "round" else 0.115
    power = 1.0 if person.glasses == "round" else 0.55
    for sign in SIDES:
        angle = np.linspace(0, 2 * np.pi, 33)
        curve = np.stack(
            [
                sign * x + 0.205 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
                y + tall * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power,
            ],
            axis=1,
        )
        canvas.fill(albedo, ribbon(curve, 0.024), frame, 0.95)
        glare = np.array(
            [
                (sign * x - 0.10, y + 0.09),
                (sign * x - 0.02, y - 0.09),
                (sign * x + 0.02, y - 0.09),
                (sign * x - 0.06, y + 0.09),
            ]
        )
        canvas.fill(albedo, glare, 0.95, 0.14, soft=0.01)
        temple = np.array([(sign * (x + 0.20), y - 0.02), (sign * (person.face_width + 0.02), y - 0.03)])
        canvas.fill(albedo, ribbon(temple, 0.022), frame, 0.9)
    bridge = spline([(-x + 0.2, y - 0.02), (0.0, y - 0.045), (x - 0.2, y - 0.02)])
    canvas.fill(albedo, ribbon(bridge, 0.022), frame, 0.95)


def _top_texture(person: Identity, texture: FloatImage) -> FloatImage:
    """Strands of hair, or the cloth of a cap or scarf."""
    cloth = person.hair_style in {"cap", "headscarf"}
    value, grain = (person.cloth, 0.02) if cloth else (person.hair, 0.03 + 0.10 * person.hair)
    top: FloatImage = np.float32(value) + np.float32(grain) * texture
    return np.clip(top, 0.01, 1.0, out=top)
