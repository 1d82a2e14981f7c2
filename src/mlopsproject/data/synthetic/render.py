"""One synthetic face from start to end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.errors import DataError
from mlopsproject.data.synthetic import features, hair
from mlopsproject.data.synthetic.action_units import Expression, sample_expression
from mlopsproject.data.synthetic.camera import make_background, photograph, turn_head
from mlopsproject.data.synthetic.drawing import Canvas, FloatImage, resize
from mlopsproject.data.synthetic.geometry import build_shape
from mlopsproject.data.synthetic.identity import Identity, sample_identity
from mlopsproject.data.synthetic.occlusion import Target, occlude
from mlopsproject.data.synthetic.scene import Scene, sample_scene
from mlopsproject.data.synthetic.shading import head_dome, relief, shade

SUPERSAMPLING = 3
MIN_SIZE, MAX_SIZE = 16, 512


def render_face(emotion: str, rng: np.random.Generator, size: int = 64, *, drift: bool = False) -> NDArray[np.uint8]:
    """Draw a person, an expression and a scene at random and photograph them.

    Args:
        emotion: one of the seven classes.
        rng: the only source of randomness; equal generators give equal faces.
        size: side of the image in pixels, 16 to 512.
        drift: True for the drifted world (see `sample_scene`).

    Returns:
        Gray image, uint8 [size, size].

    Raises:
        DataError: for an unknown emotion or a size out of range.
    """
    expression = sample_expression(emotion, rng)
    return render_expression(expression, sample_identity(rng), sample_scene(rng, drift=drift), rng, size)


def render_expression(
    expression: Expression, person: Identity, scene: Scene, rng: np.random.Generator, size: int = 64
) -> NDArray[np.uint8]:
    """Photograph a given person with given action units in a given scene.

    Args:
        expression: action units and asymmetry.
        person: who.
        scene: pose, light and camera.
        rng: texture, background and noise.
        size: side of the image in pixels, 16 to 512.

    Returns:
        Gray image, uint8 [size, size].

    Raises:
        DataError: for a size out of range.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise DataError(f"size={size} is out of range;", f"faces can be {MIN_SIZE} to {MAX_SIZE} pixels wide.")
    canvas = Canvas(SUPERSAMPLING * size / 2)
    shape = build_shape(person, expression)
    albedo, alpha = canvas.blank(0.4), canvas.blank()
    strands, pores = _textures(canvas, rng)
    hair.paint_behind(canvas, albedo, alpha, shape, person, strands)
    canvas.fill(albedo, shape.outline, person.skin * (1 + 0.022 * pores), soft=0.006)
    canvas.fill(alpha, shape.outline, 1.0, soft=0.006)
    hair.paint_beard(canvas, albedo, shape, person, pores)
    features.paint_folds(canvas, albedo, shape, person, expression)
    features.paint_nose(canvas, albedo, shape, person)
    features.paint_mouth(canvas, albedo, shape.mouth, person)
    features.paint_eyes(canvas, albedo, shape, person, scene)
    features.paint_brows(canvas, albedo, shape, person, strands)
    hair.paint_glasses(canvas, albedo, person)
    hair.paint_front(canvas, albedo, alpha, person, strands)
    occlude(scene.occlusion, Target(canvas, albedo, alpha, shape, person), rng)
    dome, bumps = head_dome(canvas, shape, person), relief(canvas, shape, person, expression)
    diffuse, gloss = shade(dome + bumps, canvas.resolution, scene)
    layers = [albedo * diffuse + gloss, alpha]
    seen, cover = turn_head(layers, canvas, 0.75 * dome + 0.6 * bumps, scene, SUPERSAMPLING * size)
    room = make_background(scene, rng, SUPERSAMPLING * size)
    return photograph(room + (seen - room) * cover, scene, rng, size)


def _textures(canvas: Canvas, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Streaks for hair and blotches for skin, both about standard normal, of the canvas size."""
    strands = rng.standard_normal((10, 60), dtype=np.float32)
    pores = rng.standard_normal((40, 40), dtype=np.float32)
    return resize(strands, canvas.size), resize(pores, canvas.size)
