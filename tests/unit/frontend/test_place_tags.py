"""Where number tags go: the page's own script, run by the Node that Playwright brings, on boxes of all kinds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright._impl._driver import compute_driver_executable

_SCRIPT = """
import {{ createInterface }} from "node:readline";
import {{ placeTags }} from "{module}";
for await (const line of createInterface({{ input: process.stdin }}))
  console.log(JSON.stringify(placeTags(...JSON.parse(line))));
"""
Rectangle = tuple[int, int, int, int]
Place = Callable[[Sequence[Rectangle], Sequence[tuple[int, int]], tuple[int, int]], list[Rectangle]]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Place tags: ``place(boxes, sizes, picture)`` gives the tags' rectangles."""
    module = files("mlopsproject.frontend").joinpath("assets", "place_tags.js").as_uri()
    command = [compute_driver_executable()[0], "--input-type=module", "--eval", _SCRIPT.format(module=module)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as node:

        def run(boxes, sizes, picture):
            node.stdin.write(json.dumps([boxes, sizes, picture]) + "\n")
            node.stdin.flush()
            spots = json.loads(node.stdout.readline())
            return [(*spot, *size) for spot, size in zip(spots, sizes, strict=True)]

        yield run
        node.stdin.close()


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Rectangle], list[tuple[int, int]], tuple[int, int]]:
    """Boxes within a picture, which may overlap, the sizes of their tags, and the picture's size."""
    width, height = draw(st.integers(20, 120)), draw(st.integers(20, 120))
    boxes = []
    for _ in range(draw(st.integers(1, 8))):
        x, y = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
        boxes.append((x, y, draw(st.integers(4, width - x)), draw(st.integers(4, height - y))))
    sizes = [(draw(st.integers(6, 16)), 9) for _ in boxes]
    return boxes, sizes, (width, height)


def overlap(one: Rectangle, other: Rectangle) -> int:
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def beside(box: Rectangle, size: tuple[int, int], picture: tuple[int, int]) -> list[Rectangle]:
    """Every place in whole pixels along the sides of a box that lies inside the picture."""
    (x, y, width, height), (own, tall) = box, size
    rows = [(x_, y_) for y_ in (y - tall, y + height) for x_ in between(x, x + width - own, picture[0] - own)]
    columns = [(x_, y_) for x_ in (x + width, x - own) for y_ in between(y, y + height - tall, picture[1] - tall)]
    inside = [(x_, y_) for x_, y_ in rows + columns if 0 <= x_ <= picture[0] - own and 0 <= y_ <= picture[1] - tall]
    return [(x_, y_, own, tall) for x_, y_ in inside]


def between(one: int, other: int, most: int) -> range:
    low, high = sorted(min(max(value, 0), most) for value in (one, other))
    return range(low, high + 1)


@settings(deadline=None)  # the first one waits for Node to start
@given(scenes())
def test_a_tag_never_covers_its_own_face(place, scene):
    for box, tag in zip(scene[0], place(*scene), strict=True):
        assert overlap(box, tag) == 0


@settings(deadline=None)  # the first one waits for Node to start
@given(scenes())
def test_a_tag_stays_in_the_picture_where_there_is_room(place, scene):
    boxes, sizes, picture = scene
    for box, size, (x, y, own, tall) in zip(boxes, sizes, place(*scene), strict=True):
        if beside(box, size, picture):
            assert 0 <= x <= picture[0] - own
            assert 0 <= y <= picture[1] - tall


@settings(deadline=None)  # the first one waits for Node to start
@given(scenes())
def test_a_tag_covers_no_more_of_other_faces_than_any_place_beside_its_box(place, scene):
    boxes, sizes, picture = scene
    for number, tag in enumerate(place(*scene)):
        others = boxes[:number] + boxes[number + 1 :]
        covered = [sum(overlap(spot, box) for box in others) for spot in beside(boxes[number], sizes[number], picture)]
        if covered:
            assert sum(overlap(tag, box) for box in others) == min(covered)


def test_above_goes_before_below_and_below_before_the_sides(place):
    middle, top, tall = (40, 40, 20, 20), (40, 0, 20, 20), (40, 0, 20, 100)
    (tag,) = place([middle], [(10, 10)], (100, 100))
    assert tag == (40, 30, 10, 10)
    (tag,) = place([top], [(10, 10)], (100, 100))
    assert tag == (40, 20, 10, 10)
    (tag,) = place([tall], [(10, 10)], (100, 100))
    assert tag == (60, 0, 10, 10)


def test_tags_of_neighbours_do_not_lie_on_each_other(place):
    one, other = place([(10, 20, 12, 20), (22, 20, 12, 20)], [(18, 10), (18, 10)], (100, 60))
    assert overlap(one, other) == 0


def test_a_face_that_fills_the_picture_has_its_tag_above_the_picture(place):
    (tag,) = place([(0, 0, 100, 80)], [(10, 10)], (100, 80))
    assert tag == (0, -10, 10, 10)


def test_sixty_four_faces_are_placed(place):
    boxes = [(30 * (number % 8), 30 * (number // 8) + 10, 20, 20) for number in range(64)]
    tags = place(boxes, [(14, 10)] * 64, (240, 250))
    assert all(overlap(tag, box) == 0 for tag in tags for box in boxes)
