"""Which face of a picture is scored: `face` and `boxes`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mlopsproject.core.faces import crop
from mlopsproject.core.predictor import Predictor


@pytest.fixture(scope="module")
def expected(tiny_bundle):
    """The probabilities that the model gives a picture."""
    predictor = Predictor(tiny_bundle, "fp32")
    return lambda picture: list(predictor.predict(picture)[0].probabilities.values())


def ask(client, content, **fields):
    response = client.post("/predict/", files={"data": content}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def test_auto_scores_the_largest_face(client, encode, two_faces, expected):
    answer = ask(client, encode(two_faces))
    assert answer["face_search"] == "found"
    (only,) = answer["faces"]
    assert answer["face"] == only["box"]
    x, y, width, height = answer["face"]
    assert x < 160 < x + width < 320
    assert y < 160 < y + height
    assert answer["probs"] == pytest.approx(expected(crop(two_faces, tuple(answer["face"]))), abs=1e-6)


def test_all_scores_every_face_the_largest_first(client, encode, two_faces, expected):
    answer = ask(client, encode(two_faces), face="all")
    boxes = [face["box"] for face in answer["faces"]]
    assert len(boxes) == 2
    assert boxes[0][2] > boxes[1][2]
    assert boxes[0][0] < 320 < boxes[1][0]
    for face in answer["faces"]:
        assert face["probs"] == pytest.approx(expected(crop(two_faces, tuple(face["box"]))), abs=1e-6)
    assert answer["face"] == boxes[0]
    assert answer["probs"] == answer["faces"][0]["probs"]
    assert answer["faces"][0]["prediction_id"] != answer["faces"][1]["prediction_id"]
    rows = [client.app.state.service.log.knows(face["prediction_id"]) for face in answer["faces"]]
    assert [list(row.box) for row in rows] == boxes
    assert {row.face_search for row in rows} == {"found"}


def test_boxes_are_in_pixels_of_the_picture_as_sent_even_if_it_is_decoded_smaller(client, encode, two_faces):
    large = encode(two_faces.resize((3840, 1920)), "JPEG")
    x, y, width, height = ask(client, large)["face"]
    small = ask(client, encode(two_faces))["face"]
    assert np.array([x, y, width, height]) / 6 == pytest.approx(np.array(small), abs=20)


def test_a_picture_without_a_face_is_scored_whole_and_says_so(client, encode, smooth_picture, expected):
    picture = smooth_picture(200, 150, mode="L")
    for mode in ("auto", "all"):
        answer = ask(client, encode(picture), face=mode)
        assert (answer["face"], answer["face_search"]) == (None, "not_found")
        assert answer["faces"][0]["box"] is None
        assert answer["probs"] == pytest.approx(expected(picture), abs=1e-6)


@pytest.mark.parametrize(("size", "search"), [((96, 300), "skipped"), ((97, 300), "not_found")])
def test_auto_takes_small_pictures_for_faces(client, encode, smooth_picture, size, search):
    assert ask(client, encode(smooth_picture(*size)))["face_search"] == search


def test_all_searches_small_pictures_too(client, face):
    assert ask(client, face, face="all")["face_search"] == "not_found"


def test_none_never_searches(client, encode, two_faces, expected):
    answer = ask(client, encode(two_faces), face="none")
    assert (answer["face"], answer["face_search"]) == (None, "skipped")
    assert answer["probs"] == pytest.approx(expected(two_faces), abs=1e-6)


def test_boxes_of_the_caller_are_scored_in_their_order(client, encode, two_faces, expected):
    boxes = [[420, 120, 100, 100], [60, 80, 180, 180]]
    answer = ask(client, encode(two_faces), boxes=json.dumps(boxes))
    assert [face["box"] for face in answer["faces"]] == boxes
    assert (answer["face"], answer["face_search"]) == (boxes[1], "given")
    for face in answer["faces"]:
        assert face["probs"] == pytest.approx(expected(crop(two_faces, tuple(face["box"]))), abs=1e-6)
    assert answer["probs"] == answer["faces"][1]["probs"]


def test_many_boxes_are_scored_as_well(client, encode, two_faces):
    boxes = [[10 * index, 0, 60, 60] for index in range(40)]
    assert len(ask(client, encode(two_faces), boxes=json.dumps(boxes))["faces"]) == 40


@pytest.mark.parametrize(("count", "in_helper"), [(4, False), (5, True)])
def test_many_boxes_on_a_small_picture_do_not_hold_up_the_others(client, face, monkeypatch, count, in_helper):
    service, asked = client.app.state.service, []
    read = service.read_faces
    monkeypatch.setattr(service, "read_faces", lambda *args: asked.append(args) or read(*args))
    assert len(ask(client, face, boxes=json.dumps([[0, 0, 60, 60]] * count))["faces"]) == count
    assert bool(asked) == in_helper


@pytest.mark.parametrize(
    "boxes",
    [
        [[600, 0, 41, 10]],
        [[0, 300, 10, 21]],
        [[-1, 0, 10, 10]],
        [[0, 0, 0, 10]],
        [[0, 0, 10, -5]],
        [[0, 0, 10]],
        [[0, 0, 10, 10.5]],
        [[True, 0, 10, 10]],
        [[0, 0, 10, "10"]],
        [["a", 0, 10, 10]],
        [[0, 0, 10, 10**30]],
        [],
        {},
        [[0, 0, 10, 10]] * 65,
    ],
)
def test_impossible_boxes_are_refused(client, encode, two_faces, boxes):
    response = client.post("/predict/", files={"data": encode(two_faces)}, data={"boxes": json.dumps(boxes)})
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "invalid_boxes")
    assert problem["detail"].startswith("boxes: ")


@pytest.mark.parametrize("boxes", ["", "[[1,2,3,4]", "null", "[" * 5000])
def test_boxes_that_are_no_json_are_refused(client, face, boxes):
    response = client.post("/predict/", files={"data": face}, data={"boxes": boxes})
    assert (response.status_code, response.json()["type"]) == (422, "invalid_boxes")


def test_another_mode_is_refused(client, face):
    response = client.post("/predict/", files={"data": face}, data={"face": "any"})
    assert (response.status_code, response.json()["type"]) == (422, "invalid_face")
