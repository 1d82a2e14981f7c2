"""Finding faces: drawn faces are found where they are, pictures without one give none, and crops are what they say."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from mlopsproject.core.errors import UserError
from mlopsproject.core.faces import FaceFinder, crop, scale_box, square
from mlopsproject.core.schemas import Box
from mlopsproject.data.synthetic import sample_face
from mlopsproject.data.synthetic.non_faces import blank_pictures, noise_pictures, non_face_pictures

SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))


def drawn_face(index: int, side: int) -> Image.Image:
    """A synthetic face that fills a gray picture."""
    return Image.fromarray(sample_face("happy", index, seed=0)).resize((side, side), Image.Resampling.BICUBIC)


def scene(*places: Box, size: tuple[int, int] = (640, 480), mode: str = "L") -> Image.Image:
    """A gray picture with a drawn face in each place, whose edges run on a little."""
    picture = Image.new("L", size, 128)
    for index, (x, y, side, _) in enumerate(places, start=1):
        beyond = side // 5
        picture.paste(
            Image.fromarray(np.pad(np.asarray(drawn_face(index, side)), beyond, mode="edge")), (x - beyond, y - beyond)
        )
    return picture.convert(mode)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    return common / (one[2] * one[3] + other[2] * other[3] - common)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


# The cascade


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_face_of_a_picture_is_found_where_it_is_the_largest_first(finder: FaceFinder, mode: str) -> None:
    places = [(40, 60, 90, 90), (330, 150, 240, 240), (60, 290, 130, 130)]
    found = finder.find(scene(*places, mode=mode))
    assert len(found) == 3
    for box, place in zip(found, sorted(places, key=lambda box: -box[2]), strict=True):
        assert overlap(box, place) > 0.5


@pytest.mark.parametrize("side", [48, 160])
def test_a_face_that_fills_its_picture_is_found_too(finder: FaceFinder, side: int) -> None:
    pictures = [drawn_face(index, side) for index in range(12)]
    found = [finder.find(picture) for picture in pictures]
    assert sum(len(boxes) == 1 for boxes in found) >= 11
    assert all(overlap(boxes[0], (0, 0, side, side)) > 0.4 for boxes in found if boxes)


def test_boxes_of_a_large_picture_are_in_its_own_pixels(finder: FaceFinder) -> None:
    place = (1500, 900, 700, 700)
    (box,) = finder.find(scene(place, size=(3000, 2000)))
    assert overlap(box, place) > 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 5), (24, 24), (5000, 20)])
def test_pictures_of_any_shape_are_searched(finder: FaceFinder, size: tuple[int, int]) -> None:
    assert finder.find(Image.new("L", size, 90)) == []


@pytest.mark.parametrize("draw", [blank_pictures, noise_pictures, non_face_pictures])
def test_pictures_without_a_face_hardly_ever_give_one(finder: FaceFinder, draw) -> None:
    found = [finder.find(Image.fromarray(pixels)) for pixels in draw(24, 100, seed=5)]
    assert sum(map(bool, found)) <= 1


def test_boxes_stay_within_the_picture(finder: FaceFinder) -> None:
    """A face that is cut off by the edge: its box would reach beyond."""
    for index in range(8):
        picture = drawn_face(index, 160).crop((12, 0, 160, 150))
        for x, y, width, height in finder.find(picture):
            assert x >= 0
            assert y >= 0
            assert x + width <= picture.width
            assert y + height <= picture.height
            assert width > 0
            assert height > 0


def test_small_faces_are_sought_down_to_a_share_of_the_shorter_side() -> None:
    picture = scene((300, 200, 70, 70))
    assert FaceFinder(min_share=0.25).find(picture) == []
    assert len(FaceFinder(min_share=0.1).find(picture)) == 1


def test_threads_find_the_same_as_one_alone(finder: FaceFinder) -> None:
    pictures = [scene((20 + 10 * number, 30, 100 + 5 * number, 0), size=(320, 240)) for number in range(8)]
    expected = [finder.find(picture) for picture in pictures]
    assert all(expected)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(finder.find, pictures)) == expected


def test_opencv_is_loaded_when_a_finder_is_opened_and_computes_with_one_thread() -> None:
    script = (
        "import sys\nfrom mlopsproject.core.faces import FaceFinder\n"
        "assert 'cv2' not in sys.modules\nFaceFinder()\nprint(sys.modules['cv2'].getNumThreads())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


# YuNet: a stand-in with its inputs and outputs, which takes a bright square of the coarse grid for a face


def yunet_onnx(path: Path) -> Path:
    """Write the stand-in: of the three grids only the coarse one (32 pixels) answers, with the brightness as score."""
    nodes, outputs, values = [], [], {}
    for stride in (8, 16, 32):
        bright = 1 / (3 * stride * stride * 255) if stride == 32 else 0
        values[f"mean_{stride}"] = np.full((1, 3, stride, stride), bright, np.float32)
        values[f"zero_{stride}"] = np.zeros((14, 3, stride, stride), np.float32)
        values[f"offset_{stride}"] = np.array(
            [0.5, 0.5, 0, 0] + [0] * 10, np.float32
        )  # the middle, and one stride wide
        steps = {"strides": [stride, stride], "kernel_shape": [stride, stride]}
        nodes.append(helper.make_node("Conv", ["input", f"mean_{stride}"], [f"m_{stride}"], **steps))
        nodes.append(
            helper.make_node("Conv", ["input", f"zero_{stride}", f"offset_{stride}"], [f"b_{stride}"], **steps)
        )
        nodes.append(helper.make_node("Split", [f"b_{stride}", "parts"], [f"c_{stride}", f"k_{stride}"], axis=1))
        for name, source, width in (("cls", "m", 1), ("obj", "m", 1), ("bbox", "c", 4), ("kps", "k", 10)):
            values[f"shape_{width}"] = np.array([1, -1, width], np.int64)
            turned, out = f"{name}_{stride}_nhwc", f"{name}_{stride}"
            nodes.append(helper.make_node("Transpose", [f"{source}_{stride}"], [turned], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [turned, f"shape_{width}"], [out]))
            outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, None, width]))
    values["parts"] = np.array([4, 10], np.int64)
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def yunet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return yunet_onnx(tmp_path_factory.mktemp("yunet") / "yunet.onnx")


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_yunet_model_is_used_when_its_path_is_given(yunet: Path, mode: str) -> None:
    picture = Image.new(mode, (320, 192))
    picture.paste("white", (64, 96, 96, 128))
    picture.paste("white", (256, 32, 288, 64))
    assert sorted(FaceFinder(yunet).find(picture)) == [(64, 96, 32, 32), (256, 32, 32, 32)]
    assert FaceFinder(str(yunet)).find(Image.new(mode, (100, 100))) == []


def test_boxes_of_yunet_are_in_the_pixels_of_a_large_picture(yunet: Path) -> None:
    picture = Image.new("L", (1280, 640))
    picture.paste("white", (640, 128, 704, 192))
    assert FaceFinder(yunet).find(picture) == [(640, 128, 64, 64)]
    assert FaceFinder(yunet, max_side=320, min_share=0.1).find(scene(size=(320, 320))) == []


def test_a_yunet_model_serves_several_threads(yunet: Path) -> None:
    finder = FaceFinder(yunet)
    pictures = []
    for place in range(5):
        picture = Image.new("L", (160 + 32 * place, 96))
        picture.paste("white", (32 * place, 32, 32 * place + 32, 64))
        pictures.append(picture)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(finder.find, pictures)) == [[(32 * place, 32, 32, 32)] for place in range(5)]


def test_a_missing_yunet_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.onnx does not exist"):
        FaceFinder(tmp_path / "nowhere.onnx")


def test_another_file_or_network_is_no_yunet_model(tmp_path: Path, tiny_bundle) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    for path in (tmp_path / "text.onnx", tiny_bundle.path / "model.onnx"):
        with pytest.raises(UserError, match="is not a YuNet model") as caught:
            FaceFinder(path)
        assert "\n" not in str(caught.value)


# Boxes and crops


@given(SIZES, SIZES, st.tuples(*[st.integers(-5000, 5000)] * 2, *[st.integers(0, 5000)] * 2))
def test_a_scaled_box_lies_within_the_target(size: tuple[int, int], target: tuple[int, int], box: Box) -> None:
    x, y, width, height = scale_box(box, size, target)
    assert 0 <= x <= x + width <= target[0]
    assert 0 <= y <= y + height <= target[1]


@given(SIZES, st.data())
def test_a_box_within_a_picture_keeps_its_place_at_the_same_size(size: tuple[int, int], data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    box = (x, y, data.draw(st.integers(1, size[0] - x)), data.draw(st.integers(1, size[1] - y)))
    assert scale_box(box, size, size) == box
    assert scale_box(box, size, (2 * size[0], 3 * size[1])) == (2 * x, 3 * y, 2 * box[2], 3 * box[3])


@pytest.fixture
def numbered() -> Image.Image:
    """A picture in which every pixel's value is ten times its row plus its column."""
    return Image.fromarray((10 * np.arange(12)[:, None] + np.arange(10)[None]).astype(np.uint8))


def test_a_crop_is_the_box_itself_when_that_is_square(numbered: Image.Image) -> None:
    assert np.array_equal(np.asarray(crop(numbered, (2, 3, 4, 4))), np.asarray(numbered)[3:7, 2:6])


def test_a_margin_is_added_on_every_side(numbered: Image.Image) -> None:
    assert np.array_equal(np.asarray(crop(numbered, (3, 4, 4, 4), margin=0.25)), np.asarray(numbered)[3:9, 2:8])


def test_a_crop_of_a_tall_box_is_as_wide_as_it_is_high(numbered: Image.Image) -> None:
    assert np.array_equal(np.asarray(crop(numbered, (4, 2, 2, 6))), np.asarray(numbered)[2:8, 2:8])


def test_a_crop_that_would_leave_the_picture_moves_inward_and_stays_square(numbered: Image.Image) -> None:
    assert np.array_equal(np.asarray(crop(numbered, (0, 8, 4, 4), margin=0.5)), np.asarray(numbered)[4:12, 0:8])
    assert square((400, 400), (0, 0, 100, 300)) == (0, 0, 300, 300)
    assert square((400, 400), (300, 150, 100, 200)) == (200, 150, 200, 200)


def test_a_crop_is_smaller_only_if_the_picture_is(numbered: Image.Image) -> None:
    assert np.array_equal(np.asarray(crop(numbered, (2, 0, 3, 12))), np.asarray(numbered)[1:11, 0:10])


@pytest.mark.parametrize(("x", "y"), [(3999, 10), (10, 2999), (3999, 2999), (0, 0)])
def test_a_pixel_at_the_edge_of_a_reduced_picture_gives_a_crop_within_it(x: int, y: int) -> None:
    inside = scale_box((x, y, 1, 1), (4000, 3000), (500, 375))
    part = crop(Image.new("L", (500, 375), 200), inside)
    assert part.size == (1, 1)
    assert part.getpixel((0, 0)) == 200


@given(SIZES, st.data(), st.floats(0, 1))
def test_a_crop_always_has_pixels(size: tuple[int, int], data: st.DataObject, margin: float) -> None:
    x, y = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    box = (x, y, data.draw(st.integers(1, size[0] - x)), data.draw(st.integers(1, size[1] - y)))
    part = crop(Image.new("1", size), box, margin)
    left, upper, width, height = square(size, box, margin)
    assert part.size == (width, height)
    assert width == height >= 1
    assert 0 <= left <= left + width <= size[0]
    assert 0 <= upper <= upper + height <= size[1]
