"""Who the face is: proportions, skin, hair, beard, glasses and age, drawn independently of the expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HAIR_STYLES = ("bald", "short", "parted", "fringe", "long", "curly", "bun", "cap", "headscarf")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "round", "square")


@dataclass(frozen=True)
class Identity:
    """One person at rest. Lengths are in face units (half the image is 1), gray values 0 (black) to 1 (white)."""

    skin: float
    lip_ratio: float
    face_width: float
    chin: float
    jaw: float
    eye_spacing: float
    eye_y: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    iris: float
    iris_radius: float
    brow_thickness: float
    brow_gap: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    rest_corner: float
    hair: float
    hair_style: str
    cloth: float
    hair_line: float
    parting: float
    beard: str
    glasses: str
    age: float


def sample_identity(rng: np.random.Generator) -> Identity:
    """Draw a person: every proportion varies within human limits, hair and beard go together plausibly."""
    masculine = bool(rng.random() < 0.5)
    age = float(rng.beta(1.3, 2.0))
    skin = float(np.clip(rng.normal(0.64, 0.13), 0.38, 0.86))
    styles = ("bald", "short", "parted", "fringe", "curly", "cap", "long")
    weights = (0.12, 0.34, 0.22, 0.08, 0.12, 0.07, 0.05)
    if not masculine:
        styles, weights = ("long", "parted", "fringe", "bun", "curly", "headscarf", "short"), (
            0.30, 0.15, 0.18, 0.12, 0.10, 0.08, 0.07,
        )  # fmt: skip
    hair = rng.uniform(0.03, 0.22) if rng.random() < 0.72 or skin < 0.5 else rng.uniform(0.3, 0.62)
    if age > 0.6 and rng.random() < 0.6:
        hair = rng.uniform(0.5, 0.85)
    beards = (0.60, 0.18, 0.08, 0.06, 0.08) if masculine else (1.0, 0.0, 0.0, 0.0, 0.0)
    return Identity(
        skin=skin,
        lip_ratio=float(rng.uniform(0.60, 0.84) - (0.0 if masculine else rng.uniform(0.0, 0.14))),
        face_width=float(rng.uniform(0.60, 0.73)),
        chin=float(rng.uniform(0.80, 0.92)),
        jaw=float(rng.uniform(0.82, 1.02) if masculine else rng.uniform(0.70, 0.92)),
        eye_spacing=float(rng.uniform(0.275, 0.33)),
        eye_y=float(rng.uniform(-0.22, -0.14)),
        eye_width=float(rng.uniform(0.145, 0.18)),
        eye_open=float(rng.uniform(0.85, 1.2)),
        eye_tilt=float(rng.normal(0.0, 0.012)),
        iris=float(rng.uniform(0.04, 0.2) if rng.random() < 0.7 else rng.uniform(0.25, 0.42)),
        iris_radius=float(rng.uniform(0.058, 0.070)),
        brow_thickness=float(rng.uniform(0.026, 0.052) if masculine else rng.uniform(0.016, 0.036)),
        brow_gap=float(rng.uniform(0.155, 0.215)),
        brow_arch=float(rng.uniform(0.005, 0.05)),
        nose_length=float(rng.uniform(0.30, 0.40)),
        nose_width=float(rng.uniform(0.085, 0.135)),
        mouth_y=float(rng.uniform(0.43, 0.51)),
        mouth_width=float(rng.uniform(0.215, 0.275)),
        lip_upper=float(rng.uniform(0.025, 0.050)),
        lip_lower=float(rng.uniform(0.035, 0.065)),
        rest_corner=float(rng.normal(0.0, 0.010)),
        hair=float(hair),
        hair_style=str(rng.choice(styles, p=weights)),
        cloth=float(rng.uniform(0.08, 0.85)),
        hair_line=float(rng.uniform(-0.78, -0.60)),
        parting=float(rng.uniform(-0.35, 0.35)),
        beard=str(rng.choice(BEARDS, p=beards)),
        glasses=str(rng.choice(GLASSES, p=(0.84, 0.08, 0.08))),
        age=age,
    )
