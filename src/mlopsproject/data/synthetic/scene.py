"""Where the face is seen: pose, light, background, camera and what hides part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OCCLUSIONS = ("none", "hand", "microphone", "scarf", "lock")


@dataclass(frozen=True)
class Scene:
    """One photograph's conditions.

    Angles are in radians, offsets in face units (half the image is 1), `blur` and `noise` in pixels and gray levels
    (0 to 1) of the final image.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift_x: float
    shift_y: float
    gaze_x: float
    gaze_y: float
    light_x: float
    light_y: float
    ambient: float
    background: float
    exposure: float
    gamma: float
    contrast: float
    blur: float
    noise: float
    vignette: float
    jpeg_quality: int
    occlusion: str


#: A plain studio shot: frontal, soft light, no noise. Tests and figures compare expressions in it.
STUDIO = Scene(
    yaw=0.0, pitch=0.0, roll=0.0, scale=1.05, shift_x=0.0, shift_y=-0.05, gaze_x=0.0, gaze_y=0.0, light_x=-0.3,
    light_y=-0.4, ambient=0.55, background=0.5, exposure=1.0, gamma=1.0, contrast=1.0, blur=0.0, noise=0.0,
    vignette=0.0, jpeg_quality=95, occlusion="none",
)  # fmt: skip


def sample_scene(rng: np.random.Generator, *, drift: bool = False) -> Scene:
    """Draw the conditions of one photograph.

    Args:
        rng: source of randomness.
        drift: True for the drifted world: a dim, soft, noisy camera mounted too high, more heads turned and hidden.
    """
    return Scene(
        yaw=float(np.clip(rng.normal(0.0, 0.30 if drift else 0.16), -0.55, 0.55)),
        pitch=float(np.clip(rng.normal(0.16 if drift else 0.0, 0.10), -0.3, 0.35)),
        roll=float(np.clip(rng.normal(0.0, 0.14 if drift else 0.06), -0.35, 0.35)),
        scale=float(rng.uniform(0.82, 1.0) if drift else rng.uniform(1.02, 1.14)),
        shift_x=float(rng.normal(0.0, 0.03)),
        shift_y=float(rng.normal(-0.05, 0.03)),
        gaze_x=float(np.clip(rng.normal(0.0, 0.35), -1.0, 1.0)),
        gaze_y=float(np.clip(rng.normal(0.0, 0.2), -1.0, 1.0)),
        light_x=float(rng.uniform(-0.9, 0.9)),
        light_y=float(rng.uniform(-1.0, 0.25)),
        ambient=float(rng.uniform(0.38, 0.68)),
        background=float(rng.uniform(0.05, 0.35) if drift else rng.uniform(0.08, 0.92)),
        exposure=float(rng.uniform(0.50, 0.75) if drift else rng.uniform(0.86, 1.2)),
        gamma=float(rng.uniform(0.8, 1.25)),
        contrast=float(rng.uniform(0.75, 0.95) if drift else rng.uniform(0.85, 1.2)),
        blur=float(rng.uniform(0.6, 1.1) if drift else min(0.8, rng.gamma(1.6, 0.18))),
        noise=float(rng.uniform(0.008, 0.022) if drift else min(0.03, rng.gamma(1.5, 0.006))),
        vignette=float(rng.uniform(0.0, 0.35)),
        jpeg_quality=int(rng.integers(55, 80) if drift else rng.integers(55, 96)),
        occlusion=str(
            rng.choice(OCCLUSIONS, p=(0.60, 0.12, 0.08, 0.10, 0.10) if drift else (0.87, 0.04, 0.03, 0.02, 0.04))
        ),
    )
