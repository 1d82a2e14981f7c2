"""Paints eyes, brows, mouth, nose and the folds that expressions make, on the albedo of a face."""

from __future__ import annotations

import numpy as np

from mlopsproject.data.synthetic.action_units import Expression
from mlopsproject.data.synthetic.drawing import Canvas, FloatImage, ellipse, ribbon, spline, taper
from mlopsproject.data.synthetic.geometry import SIDES, Eye, FaceShape, Mouth, Units
from mlopsproject.data.synthetic.identity import Identity
from mlopsproject.data.synthetic.scene import Scene

#: Points of a line in the skin, its depth (0 to 1) and its width in face units.
Fold = tuple[list[tuple[float, float]], float, float]


def paint_eyes(canvas: Canvas, albedo: FloatImage, shape: FaceShape, person: Identity, scene: Scene) -> None:
    """Sclera, iris, pupil, highlight, lid lines and lashes of both eyes."""
    for eye in shape.eyes:
        _paint_eye(canvas, albedo, eye, person, scene)


def _paint_eye(canvas: Canvas, albedo: FloatImage, eye: Eye, person: Identity, scene: Scene) -> None:
    x, y = eye.centre
    canvas.scale(albedo, ellipse(x, y - 0.05, 0.19, 0.075), 0.90, soft=0.035)
    canvas.scale(albedo, ellipse(x, y + 0.085, 0.13, 0.035), 1.0 - 0.10 * person.age, soft=0.025)
    clip = canvas.mask(eye.outline)
    white = min(0.92, 0.62 + 0.3 * person.skin)
    canvas.fill(albedo, eye.outline, white)
    radius = person.iris_radius
    gaze = (x + 0.055 * scene.gaze_x, y + 0.004 + 0.02 * scene.gaze_y)
    canvas.fill(albedo, ellipse(*gaze, radius, radius), person.iris, clip=clip, soft=0.004)
    canvas.fill(albedo, ellipse(*gaze, 0.45 * radius, 0.45 * radius), 0.02, clip=clip)
    glint = (gaze[0] - 0.022, gaze[1] - 0.024)
    canvas.fill(albedo, ellipse(*glint, 0.016, 0.016), 0.95, 0.9, clip=clip)
    # The lid's shadow on the eyeball, then lashes, lower rim and the crease above.
    shadow = ribbon(eye.upper + np.array([0.0, 0.012]), 0.03)
    canvas.fill(albedo, shadow, 0.25, 0.35, soft=0.006, clip=clip)
    lash = min(0.14, 0.4 * person.skin)
    canvas.fill(albedo, ribbon(eye.upper, taper(len(eye.upper), 0.010, 0.024)), lash, 0.95)
    canvas.fill(albedo, ribbon(eye.lower, 0.010), lash + 0.1, 0.55)
    canvas.scale(albedo, ribbon(eye.crease, taper(len(eye.crease), 0.006, 0.016)), 0.66, soft=0.006)


def paint_brows(canvas: Canvas, albedo: FloatImage, shape: FaceShape, person: Identity, texture: FloatImage) -> None:
    """Brows as tapered, hairy ribbons."""
    value = min(person.hair, 0.55) * 0.9 + 0.02
    value = min(value, 0.62 * person.skin)
    hairs = np.clip(value + 0.06 * texture, 0.0, 1.0)
    for line in shape.brows:
        t = np.linspace(0, 1, len(line))
        width = person.brow_thickness * (0.75 + 1.1 * np.sin(np.pi * np.clip(0.25 + 0.65 * t, 0, 1)) - 0.75 * t)
        canvas.fill(albedo, ribbon(line, 1.5 * np.maximum(width, 0.01)), hairs, 0.9, soft=0.006)


def paint_nose(canvas: Canvas, albedo: FloatImage, shape: FaceShape, person: Identity) -> None:
    """Nostrils and the shadow under the tip; the bridge comes from the shading."""
    tip, wide = shape.nose_tip, person.nose_width
    canvas.scale(albedo, ellipse(0.0, tip + 0.045, 0.8 * wide, 0.022), 0.80, soft=0.014)
    for sign in SIDES:
        canvas.scale(albedo, ellipse(sign * 0.48 * wide, tip + 0.032, 0.028, 0.015, -0.3 * sign), 0.35, soft=0.005)
        wing = spline([(sign * 0.98 * wide, tip - 0.045), (sign * 1.08 * wide, tip), (sign * 0.9 * wide, tip + 0.03)])
        canvas.scale(albedo, ribbon(wing, 0.016), 0.70, soft=0.007)


def paint_mouth(canvas: Canvas, albedo: FloatImage, mouth: Mouth, person: Identity) -> None:
    """Lips, and inside them cavity, tongue and teeth."""
    lip = person.skin * person.lip_ratio
    upper = np.concatenate([mouth.upper_outer, mouth.upper_inner[::-1]])
    lower = np.concatenate([mouth.lower_inner, mouth.lower_outer[::-1]])
    whole = np.concatenate([mouth.upper_outer, mouth.lower_outer[::-1]])
    canvas.scale(albedo, whole + np.array([0.0, 0.03]), 0.90, soft=0.02)
    canvas.fill(albedo, upper, 0.88 * lip, 0.9, soft=0.005)
    canvas.fill(albedo, lower, 1.06 * lip, 0.9, soft=0.005)
    if mouth.opening > 0.012:
        _paint_cavity(canvas, albedo, mouth)
    line = (mouth.upper_inner + mouth.lower_inner) / 2
    closed = max(0.0, 1 - mouth.opening / 0.04)
    canvas.scale(albedo, ribbon(line, taper(len(line), 0.010, 0.020)), 1 - 0.72 * closed, soft=0.003)
    for end in (line[0], line[-1]):
        canvas.scale(albedo, ellipse(end[0], end[1], 0.022, 0.016), 0.70, soft=0.010)


def _paint_cavity(canvas: Canvas, albedo: FloatImage, mouth: Mouth) -> None:
    cavity = mouth.cavity
    clip = canvas.mask(cavity)
    canvas.fill(albedo, cavity, 0.05)
    height = mouth.lower_inner[:, 1] - mouth.upper_inner[:, 1]
    if mouth.opening > 0.09:
        x, y = mouth.lower_inner[len(height) // 2]
        canvas.fill(albedo, ellipse(x, y, 0.11, 0.35 * mouth.opening), 0.30, 0.8, soft=0.012, clip=clip)
    for curve, direction, amount in (
        (mouth.upper_inner, 1, mouth.teeth_upper),
        (mouth.lower_inner, -1, mouth.teeth_lower),
    ):
        if amount < 0.2:
            continue
        depth = np.minimum(0.09 * min(1.0, 0.4 + amount), 0.62 * height + 0.004)[:, None] * np.array([0.0, direction])
        band = np.concatenate([curve, (curve + depth)[::-1]])
        canvas.fill(albedo, band, 0.82, min(1.0, 3.0 * (amount - 0.2)), soft=0.003, clip=clip)


def paint_folds(canvas: Canvas, albedo: FloatImage, shape: FaceShape, person: Identity, expression: Expression) -> None:
    """Lines that muscles press into the skin: forehead, glabella, crow's feet, nasolabial, nose root, chin."""
    folds = _middle_folds(shape, person, expression.both())
    for sign in SIDES:
        folds += _side_folds(shape, person, expression.side(sign), sign)
    lines = []
    for points, depth, width in folds:
        if depth > 0.05:
            line = spline(points, samples=4)
            lines.append((ribbon(line, taper(len(line), 0.3 * width, width)), min(0.75, 0.95 * depth)))
    canvas.crease(albedo, lines, soft=0.009)


def _middle_folds(shape: FaceShape, person: Identity, units: Units) -> list[Fold]:
    folds: list[Fold] = []
    age = person.age
    forehead = 0.42 * units[1] + 0.45 * units[2] - 0.15 * units[4] + 0.22 * max(0.0, age - 0.4)
    reach = 0.20 + 0.22 * units[2]
    for row, weight in ((0.13, 0.8), (0.22, 1.0), (0.31, 0.6)):
        y = person.eye_y - person.brow_gap - row
        wave = [
            (-reach, y + 0.02),
            (-reach / 2, y - 0.012),
            (0.0, y + 0.008),
            (reach / 2, y - 0.012),
            (reach, y + 0.02),
        ]
        folds.append((wave, forehead * weight, 0.020))
    root = person.eye_y + 0.02
    for offset in (-0.05, 0.0, 0.05):
        across = [(-0.05, root + 0.01 + offset), (0.0, root - 0.005 + offset), (0.05, root + 0.01 + offset)]
        folds.append((across, 0.65 * units[9], 0.016))
    y = (float(shape.mouth.lower_outer[:, 1].max()) + shape.chin_y) / 2
    folds.append(
        ([(-0.10, y + 0.012), (0.0, y - 0.02), (0.10, y + 0.012)], 0.10 + 0.5 * units[17] + 0.12 * units[15], 0.026)
    )
    return folds


def _side_folds(shape: FaceShape, person: Identity, units: Units, sign: int) -> list[Fold]:
    age, tip, wide = person.age, shape.nose_tip, person.nose_width
    corner_x, corner_y = shape.mouth.upper_inner[0 if sign < 0 else -1].tolist()
    bow = 0.05 + 0.05 * units[12]
    nasolabial = [
        (sign * 1.15 * wide, tip - 0.04 - 0.03 * units[9]),
        (corner_x * 0.9 + sign * bow, (tip + corner_y) / 2 - 0.01),
        (corner_x + sign * (0.035 + 0.03 * units[12]), corner_y + 0.03),
    ]
    depth = 0.06 + 0.22 * age + 0.38 * units[12] + 0.4 * units[10] + 0.4 * units[9] + 0.1 * units[20] + 0.1 * units[15]
    sag = [(corner_x + sign * 0.01, corner_y + 0.015), (corner_x + sign * 0.035, corner_y + 0.10)]
    brow_y = person.eye_y - person.brow_gap + 0.04
    frown = [(sign * 0.055, brow_y - 0.10), (sign * 0.045, brow_y), (sign * 0.062, brow_y + 0.06)]
    x, under = person.eye_spacing, person.eye_y + 0.085 - 0.02 * units[6]
    bag = [(sign * (x - 0.12), under - 0.02), (sign * x, under + 0.012), (sign * (x + 0.12), under - 0.02)]
    folds: list[Fold] = [
        (nasolabial, depth, 0.026),
        (sag, 0.45 * units[15] + 0.12 * age, 0.022),
        (frown, 0.75 * units[4] + 0.12 * age, 0.020),
        (bag, 0.08 + 0.2 * age + 0.30 * units[6] + 0.22 * units[7], 0.018),
    ]
    outer = x + person.eye_width + 0.025
    for slope in (-0.055, -0.005, 0.045):
        foot = [(sign * outer, person.eye_y + 0.3 * slope), (sign * (outer + 0.085), person.eye_y + slope)]
        folds.append((foot, 0.40 * units[6] + 0.15 * max(0.0, age - 0.3), 0.012))
    return folds
