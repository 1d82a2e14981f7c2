"""`POST /feedback`: what people say of an answered face."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from mlopsproject.core.classes import FIVE


@pytest.fixture
def answered(client, face):
    answer = client.post("/predict/", files={"data": face}).json()
    return answer["faces"][0]["prediction_id"], answer["predicted_emotion"]


def test_feedback_says_whether_it_agrees(client, answered):
    identifier, said = answered
    other = next(name for name in FIVE if name != said)
    for label, agrees in ((said, True), (other, False)):
        response = client.post("/feedback", json={"prediction_id": identifier, "label": label})
        assert response.status_code == 200
        assert response.json() == {"prediction_id": identifier, "label": label, "agrees": agrees}


def test_feedback_reaches_the_database(client, face):
    start = {"since": datetime.now(UTC).isoformat()}
    answer = client.post("/predict/", files={"data": face}).json()
    body = {"prediction_id": answer["faces"][0]["prediction_id"], "label": answer["predicted_emotion"]}
    assert client.post("/feedback", json=body).status_code == 200
    deadline = time.monotonic() + 10
    while client.get("/stats", params=start).json()["feedback_agrees"] != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_unknown_prediction_is_not_found(client):
    response = client.post("/feedback", json={"prediction_id": "0" * 32, "label": "happy"})
    assert (response.status_code, response.json()["type"]) == (404, "unknown_prediction")


def test_a_label_that_the_model_does_not_have_is_refused(client, answered):
    response = client.post("/feedback", json={"prediction_id": answered[0], "label": "neutral"})
    problem = response.json()
    assert (response.status_code, problem["type"]) == (422, "unknown_label")
    assert problem["detail"] == "label: give one of angry, fear, happy, sad, surprise."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prediction_id": "0" * 32},
        {"label": "happy"},
        {"prediction_id": "0" * 31, "label": "happy"},
        {"prediction_id": "\0" * 32, "label": "happy"},
        {"prediction_id": "0" * 32, "label": ""},
        {"prediction_id": "0" * 32, "label": 5},
        {"prediction_id": "0" * 32, "label": "happy", "note": "x"},
    ],
)
def test_impossible_feedback_is_refused(client, body):
    response = client.post("/feedback", json=body)
    assert (response.status_code, response.json()["type"]) == (422, "invalid")
