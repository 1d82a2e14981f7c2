"""The renderer: deterministic faces whose action units move what they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlopsproject.core.classes import FIVE, SEVEN
from mlopsproject.core.errors import DataError
from mlopsproject.data.synthetic.action_units import ACTION_UNITS, PROTOTYPES, Expression, sample_expression
from mlopsproject.data.synthetic.drawing import Canvas, ellipse, ribbon, spline
from mlopsproject.data.synthetic.geometry import build_shape
from mlopsproject.data.synthetic.identity import BEARDS, GLASSES, HAIR_STYLES, Identity, sample_identity
from mlopsproject.data.synthetic.render import render_expression, render_face
from mlopsproject.data.synthetic.scene import OCCLUSIONS, STUDIO, sample_scene

intensity = st.floats(0.0, 1.0)


@pytest.fixture
def person() -> Identity:
    plain = sample_identity(np.random.default_rng(11))
    return replace(plain, skin=0.7, hair_style="short", beard="none", glasses="none", hair_line=-0.7, age=0.1)


def studio(person: Identity, units: dict[int, float], asymmetry: float = 0.0, size: int = 64) -> NDArray[np.int64]:
    """The person in soft frontal light, always with the same background and texture."""
    expression = Expression(units, asymmetry)
    return render_expression(expression, person, STUDIO, np.random.default_rng(0), size).astype(np.int64)


@pytest.mark.parametrize("emotion", SEVEN)
@pytest.mark.parametrize("drift", [False, True])
def test_every_emotion_renders_as_a_gray_image_with_contrast(emotion: str, drift: bool) -> None:
    face = render_face(emotion, np.random.default_rng(3), drift=drift)
    assert face.shape == (64, 64)
    assert face.dtype == np.uint8
    assert face.std() > 4


def test_equal_generators_give_equal_bytes_and_others_give_other_faces() -> None:
    first, again, other = (render_face("fear", np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert np.abs(first.astype(int) - other).mean() > 5


@pytest.mark.parametrize("size", [16, 48, 96])
def test_size_is_the_side_of_the_image(size: int) -> None:
    assert render_face("happy", np.random.default_rng(0), size).shape == (size, size)


def test_the_same_face_at_another_size_looks_the_same(person: Identity) -> None:
    small = studio(person, {12: 1.0}, size=48)
    large = studio(person, {12: 1.0}, size=96).reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("size", [0, 15, 513])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(DataError, match=f"size={size}"):
        render_face("happy", np.random.default_rng(0), size)


def test_an_unknown_emotion_names_the_nearest_known_one() -> None:
    with pytest.raises(DataError, match="did you mean 'surprise'"):
        render_face("suprise", np.random.default_rng(0))


def test_dropping_the_jaw_opens_a_dark_mouth_wider_and_wider(person: Identity) -> None:
    dark = [(studio(person, {25: 0.8, 26: amount})[42:54, 24:40] < 45).sum() for amount in (0.0, 0.4, 0.8)]
    assert dark[0] < dark[1] < dark[2]
    assert dark[2] - dark[0] >= 15


@pytest.mark.parametrize(("unit", "direction"), [(12, -1), (15, 1)])
def test_lip_corners_are_pulled_up_by_12_and_down_by_15(person: Identity, unit: int, direction: int) -> None:
    rest, moved = (build_shape(person, Expression({unit: amount})).mouth.upper_inner for amount in (0.0, 1.0))
    rest_lift, moved_lift = (curve[[0, -1], 1].mean() - curve[len(curve) // 2, 1] for curve in (rest, moved))
    assert direction * (moved_lift - rest_lift) > 0.1


@pytest.mark.parametrize(("unit", "point", "direction"), [(1, 0, -1), (2, -1, -1), (4, 0, 1)])
def test_brow_units_move_the_end_they_name(person: Identity, unit: int, point: int, direction: int) -> None:
    heights = [build_shape(person, Expression({unit: amount})).brows[1][point, 1] for amount in (0.0, 0.5, 1.0)]
    assert direction * (heights[1] - heights[0]) > 0.03
    assert direction * (heights[2] - heights[1]) > 0.03


@pytest.mark.parametrize(("unit", "wider"), [(5, True), (7, False), (43, False)])
def test_lid_units_change_the_opening_of_the_eyes(person: Identity, unit: int, wider: bool) -> None:
    openings = [build_shape(person, Expression({unit: amount})).eyes[0].openness for amount in (0.0, 0.5, 1.0)]
    assert openings == sorted(openings, reverse=not wider)
    assert abs(openings[2] - openings[0]) > 0.02


def test_an_open_smile_shows_teeth(person: Identity) -> None:
    closed, smile = (studio(person, {12: 1.0, 25: amount})[38:54, 22:42] for amount in (0.0, 1.0))
    assert smile.max() > closed.max() + 15


def test_asymmetry_makes_one_side_move_more(person: Identity) -> None:
    shape = build_shape(person, Expression({12: 0.6}, asymmetry=0.3))
    left, right = shape.mouth.upper_inner[0], shape.mouth.upper_inner[-1]
    assert right[1] < left[1]
    assert right[0] > -left[0]


def test_every_prototype_uses_known_units_and_intensities() -> None:
    for prototypes in PROTOTYPES.values():
        for prototype in prototypes:
            spans = {**prototype.always, **{unit: span for unit, (_, span) in prototype.sometimes.items()}}
            assert spans.keys() <= ACTION_UNITS.keys()
            assert all(0.0 <= low <= high <= 1.0 for low, high in spans.values())


@pytest.mark.parametrize(
    ("emotion", "units"), [("angry", {4}), ("fear", {1, 5, 20}), ("happy", {12}), ("sad", {1, 15})]
)
def test_sampled_expressions_move_what_defines_the_emotion(emotion: str, units: set[int]) -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_expression(emotion, rng).units for _ in range(100)]
    assert all(0.0 <= value <= 1.0 for expression in drawn for value in expression.values())
    for unit in units:
        assert np.mean([expression[unit] for expression in drawn]) > 0.4


def test_some_expressions_are_faint() -> None:
    rng = np.random.default_rng(0)
    smiles = np.array([sample_expression("happy", rng).units[12] for _ in range(300)])
    assert 0.01 < (smiles < 0.5).mean() < 0.2


@settings(max_examples=25, deadline=None)
@given(units=st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), intensity), asymmetry=st.floats(-0.3, 0.3))
def test_any_combination_of_units_gives_a_finite_face(units: dict[int, float], asymmetry: float) -> None:
    someone = sample_identity(np.random.default_rng(2))
    shape = build_shape(someone, Expression(units, asymmetry))
    mouth = shape.mouth
    assert np.isfinite(np.concatenate([shape.outline, *shape.brows, mouth.cavity, mouth.lower_outer])).all()
    assert (mouth.lower_inner[:, 1] >= mouth.upper_inner[:, 1] - 1e-9).all()
    assert all((eye.lower[:, 1] > eye.upper[:, 1]).all() for eye in shape.eyes)


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_hair_style_changes_the_picture(person: Identity, style: str) -> None:
    other = "bald" if style != "bald" else "long"
    first, second = (studio(replace(person, hair_style=name), {}) for name in (style, other))
    assert np.abs(first - second).max() > 30


@pytest.mark.parametrize(
    ("field", "value"), [("beard", name) for name in BEARDS[1:]] + [("glasses", name) for name in GLASSES[1:]]
)
def test_beards_and_glasses_are_visible(person: Identity, field: str, value: str) -> None:
    assert np.abs(studio(replace(person, **{field: value}), {}) - studio(person, {})).max() > 25


@pytest.mark.parametrize("kind", OCCLUSIONS[1:])
def test_every_occlusion_hides_something(person: Identity, kind: str) -> None:
    hidden = render_expression(Expression(), person, replace(STUDIO, occlusion=kind), np.random.default_rng(0))
    assert (np.abs(hidden.astype(int) - studio(person, {})) > 30).sum() > 20


def test_turning_the_head_moves_the_nose_more_than_the_ears(person: Identity) -> None:
    frontal = studio(person, {})
    turned = render_expression(Expression(), person, replace(STUDIO, yaw=0.4), np.random.default_rng(0)).astype(int)
    assert np.abs(turned - frontal).mean() > 4


def test_light_from_the_left_brightens_the_left_cheek(person: Identity) -> None:
    left, right = (
        render_expression(Expression(), person, replace(STUDIO, light_x=x, ambient=0.3), np.random.default_rng(0))
        for x in (-0.9, 0.9)
    )
    assert left[28:40, 14:24].mean() > left[28:40, 40:50].mean() + 15
    assert right[28:40, 40:50].mean() > right[28:40, 14:24].mean() + 15


def test_the_drifted_world_is_darker_and_softer() -> None:
    def faces(drift: bool) -> NDArray[np.float64]:
        drawn = [render_face(name, np.random.default_rng(i), drift=drift) for i in range(8) for name in FIVE]
        return np.stack(drawn).astype(np.float64)

    usual, drifted = faces(False), faces(True)
    assert drifted.mean() < 0.6 * usual.mean()
    assert np.abs(np.diff(drifted)).mean() < 0.7 * np.abs(np.diff(usual)).mean()


def test_scenes_stay_within_human_limits() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, drift=drift) for drift in (False, True) for _ in range(200)]
    assert max(abs(scene.yaw) for scene in scenes) <= 0.6
    assert {scene.occlusion for scene in scenes} == set(OCCLUSIONS)
    assert all(40 <= scene.jpeg_quality <= 100 for scene in scenes)


def test_pixels_alone_do_not_give_the_expression_away() -> None:
    """Nearest neighbour on pixels stays below 60 %, so that a network has something to learn."""
    draw = {name: np.random.default_rng(number) for number, name in enumerate(FIVE)}
    faces = np.stack([render_face(name, draw[name], 32) for _ in range(60) for name in FIVE]).reshape(300, -1) / 255
    labels = np.tile(np.arange(len(FIVE)), 60)
    train, test = slice(0, 220), slice(220, 300)
    distance = ((faces[test, None] - faces[None, train]) ** 2).sum(axis=2)
    assert (labels[train][distance.argmin(axis=1)] == labels[test]).mean() <= 0.60


def test_a_polygon_off_the_canvas_paints_nothing() -> None:
    canvas = Canvas(24)
    layer = canvas.blank(0.5)
    canvas.fill(layer, ellipse(5.0, 5.0, 0.2, 0.2), 1.0)
    canvas.scale(layer, ellipse(-5.0, 0.0, 0.2, 0.2), 0.1, soft=0.02)
    canvas.crease(layer, [], soft=0.01)
    assert (layer == 0.5).all()


def test_a_filled_polygon_covers_its_area() -> None:
    canvas = Canvas(96)
    # The tolerance is the half pixel that cv2 adds around a polygon.
    area = canvas.mask(ellipse(0.1, -0.2, 0.5, 0.3, tilt=0.4, count=48)).sum() / 96**2
    assert area == pytest.approx(np.pi * 0.5 * 0.3, rel=0.05)


def test_splines_pass_through_their_points_and_ribbons_keep_their_width() -> None:
    points = [(0.0, 0.0), (0.3, 0.1), (0.6, -0.1)]
    curve = spline(points, samples=5)
    for point in points:
        assert np.abs(curve - point).sum(axis=1).min() < 1e-9
    edge = ribbon(np.array([(0.0, 0.0), (1.0, 0.0)]), 0.2)
    assert np.allclose(np.ptp(edge, axis=0), (1.0, 0.2))
