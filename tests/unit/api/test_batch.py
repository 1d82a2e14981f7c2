"""`POST /predict/batch`: several pictures, one entry each."""

from __future__ import annotations

import time

import pytest

from mlopsproject.api import scoring
from mlopsproject.api.scoring import answer
from mlopsproject.core.schemas import BatchResponse


def post(client, files, **fields):
    return client.post("/predict/batch", files=[("data", file) for file in files], data=fields)


def test_every_file_gets_an_entry_in_order(client, encode, smooth_picture, two_faces):
    pictures = [encode(smooth_picture(seed=seed)) for seed in range(3)] + [encode(two_faces)]
    response = post(client, [(f"{index}.png", picture) for index, picture in enumerate(pictures)])
    assert response.status_code == 200
    batch = BatchResponse.model_validate(response.json())
    assert (batch.answered, batch.failed) == (4, 0)
    assert [entry.file for entry in batch.results] == ["0.png", "1.png", "2.png", "3.png"]
    assert batch.results[3].result.face_search == "found"
    for picture, entry in zip(pictures, response.json()["results"], strict=True):
        alone = client.post("/predict/", files={"data": picture}).json()
        assert entry["result"]["probs"] == pytest.approx(alone["probs"], abs=1e-9)
        assert entry["result"]["request_id"] == batch.request_id == response.headers["x-request-id"]


def test_a_bad_file_does_not_cost_the_others(client, face):
    files = [("a", face), ("b", b"no"), ("c", face, "text/html"), ("d", b""), ("e", face)]
    batch = post(client, files).json()
    assert (batch["answered"], batch["failed"]) == (2, 3)
    assert [entry["result"] is not None for entry in batch["results"]] == [True, False, False, False, True]
    kinds = [entry["problem"] and (entry["problem"]["status"], entry["problem"]["type"]) for entry in batch["results"]]
    assert kinds == [None, (400, "not_an_image"), (415, "wrong_type"), (400, "empty"), None]
    assert {entry["problem"]["request_id"] for entry in batch["results"] if entry["problem"]} == {batch["request_id"]}


def test_each_answer_is_logged_as_part_of_the_batch(client, face):
    batch = post(client, [("a", face), ("b", face)]).json()
    for entry in batch["results"]:
        row = client.app.state.service.log.knows(entry["result"]["faces"][0]["prediction_id"])
        assert (row.source, row.request_id) == ("batch", batch["request_id"])


def test_options_hold_for_every_file(client, face):
    batch = post(client, [("a", face), ("b", face)], face="all").json()
    assert {entry["result"]["face_search"] for entry in batch["results"]} == {"not_found"}
    batch = post(client, [("a", face)], boxes="[[0,0,65,64]]").json()
    assert batch["results"][0]["problem"]["type"] == "invalid_boxes"


def test_a_batch_of_bad_files_only_is_answered(client):
    assert post(client, [("a", b"no")]).json()["failed"] == 1


def test_a_batch_has_at_least_one_file_and_not_too_many(serve, face):
    client = serve(max_files=3)
    assert post(client, [("a", face)] * 3).status_code == 200
    problem = post(client, [("a", face)] * 4).json()
    assert (problem["status"], problem["detail"]) == (422, "More than 3 files.")
    assert client.post("/predict/batch", files={"face": (None, "auto")}).json()["type"] == "missing_field"


def test_names_come_back_as_given_but_not_without_end(client, face):
    names = ['a"b.jpg', "ä.png", "x" * 400]
    entries = post(client, [(name, face) for name in names]).json()["results"]
    assert entries[1]["file"] == "ä.png"
    assert entries[2]["file"] == "x" * 255


def test_a_batch_that_ran_out_of_time_computes_no_further(serve, face, monkeypatch):
    begun = []

    def slow(*args):
        begun.append(args)
        time.sleep(0.1)
        return answer(*args)

    monkeypatch.setattr(scoring, "answer", slow)
    client = serve(request_timeout_seconds=0.25)
    response = post(client, [("x", face)] * 20)
    assert (response.status_code, response.json()["type"]) == (503, "timeout")
    time.sleep(0.4)
    assert len(begun) <= 4
