"""`POST /explain`: which parts of the face the answer rests on."""

from __future__ import annotations

import numpy as np
import pytest

from mlopsproject.core.schemas import ExplainResponse


def test_the_map_belongs_to_the_answer(client, face):
    response = client.post("/explain", files={"data": face})
    assert response.status_code == 200
    explained = ExplainResponse.model_validate(response.json())
    answer = client.post("/predict/", files={"data": face}).json()
    assert (explained.predicted_emotion, explained.box) == (answer["predicted_emotion"], None)
    assert explained.confidence == pytest.approx(answer["confidence"], abs=1e-6)
    assert explained.request_id == response.headers["x-request-id"]
    heat = np.array(explained.heatmap)
    assert heat.shape == (8, 8)
    assert np.ptp(heat) > 0


def test_the_map_is_of_the_largest_face(client, encode, two_faces):
    picture = encode(two_faces)
    explained = client.post("/explain", files={"data": picture}, data={"face": "all"}).json()
    answer = client.post("/predict/", files={"data": picture}).json()
    assert explained["predicted_emotion"] == answer["predicted_emotion"]
    assert explained["box"] == answer["face"]


def test_the_map_lies_over_the_square_that_the_network_saw(client, encode, two_faces):
    for box, part in (([100, 50, 60, 100], [80, 50, 100, 100]), ([0, 0, 40, 100], [0, 0, 100, 100])):
        explained = client.post("/explain", files={"data": encode(two_faces)}, data={"boxes": f"[{box}]"}).json()
        assert explained["box"] == part


def test_explanations_are_not_logged(client, face):
    before = client.get("/metrics").text.count("mlopsproject_predictions_total{")
    total = client.get("/stats").json()["total"]
    client.post("/explain", files={"data": face})
    assert client.get("/stats").json()["total"] == total
    assert client.get("/metrics").text.count("mlopsproject_predictions_total{") == before


def test_it_refuses_what_predict_refuses(client):
    response = client.post("/explain", files={"data": b"no"})
    assert (response.status_code, response.json()["type"]) == (400, "not_an_image")
    assert client.post("/explain", files={"face": (None, "auto")}).status_code == 422
