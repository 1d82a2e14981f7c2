"""Many files: small requests, one row per file in the files' order, whatever happens to some of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.frontend.stub_api import Answer, Request, problem

from mlopsproject.frontend.batch_run import FileRow, portions, recognise, told_apart


@dataclass
class File:
    name: str
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def getvalue(self) -> bytes:
        return self.content


@dataclass
class Sized:
    name: str
    size: int


def files(*contents: bytes) -> list[File]:
    return [File(f"{number}.png", content) for number, content in enumerate(contents)]


def nobody_waits(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} seconds")


@given(st.lists(st.integers(0, 6_000_000), max_size=60))
def test_requests_are_small_and_lose_nothing(sizes):
    uploads = [Sized(str(number), size) for number, size in enumerate(sizes)]
    parts = list(portions(uploads))
    assert [upload for part in parts for upload in part] == uploads
    for part in parts:
        assert 1 <= len(part) <= 8
        assert len(part) == 1 or sum(upload.size for upload in part) <= 4_000_000


def test_each_file_gets_a_row_in_order(api, client):
    uploads = files(*[b"face"] * 5, b"broken", *[b"face"] * 5)
    rows = list(recognise(client, uploads, nobody_waits))
    assert [row.file for row in rows] == [upload.name for upload in uploads]
    assert [row.result is None for row in rows] == [number == 5 for number in range(11)]
    assert (rows[5].reason, rows[5].again) == ("The file is not a picture.", False)
    assert [len(request.files) for request in api.of("/predict/batch")] == [8, 3]


def test_rows_come_as_their_request_is_answered(api, client):
    rows = recognise(client, files(*[b"face"] * 20), nobody_waits)
    next(rows)
    assert len(api.asked) == 1


def test_a_busy_service_is_asked_again_when_it_says(api, client):
    answers = [problem(503, "busy", "Busy.", Retry_After="3"), problem(429, "limit", "Slow down.", Retry_After="60")]
    answered = api.says["POST /predict/batch"]
    api.says["POST /predict/batch"] = lambda request: answers.pop(0) if answers else answered(request)
    pauses: list[float] = []
    (row,) = recognise(client, files(b"face"), pauses.append)
    assert row.result is not None
    assert pauses == [3, 10]


def test_a_service_that_stays_busy_is_left_alone_after_some_tries(api, client):
    api.says["POST /predict/batch"] = problem(503, "busy", "Busy.")
    pauses: list[float] = []
    rows = list(recognise(client, files(b"face", b"face"), pauses.append))
    assert [(row.reason, row.again) for row in rows] == [("Busy.", True)] * 2
    assert (len(api.asked), pauses) == (5, [1, 1, 1, 1])


def test_a_request_that_is_refused_is_taken_apart(api, client):
    answered = api.says["POST /predict/batch"]

    def picky(request: Request) -> Answer:
        return problem(413, "too_large", "Too much.") if len(request.body) > 2000 else answered(request)

    api.says["POST /predict/batch"] = picky
    rows = list(recognise(client, files(b"face", b"face" * 1000, b"face"), nobody_waits))
    assert [row.reason for row in rows] == ["", "Too much.", ""]
    assert not rows[1].again


@pytest.mark.parametrize(("status", "kind"), [(401, "key"), (403, "key")])
def test_with_a_wrong_key_the_rest_is_not_sent(api, client, status, kind):
    api.says["POST /predict/batch"] = problem(status, kind, "No.")
    rows = list(recognise(client, files(*[b"face"] * 20), nobody_waits))
    assert len(api.asked) == 1
    assert all(row.again for row in rows)


def test_when_the_service_goes_the_rest_is_not_sent_and_can_be_sent_later(api, client):
    answered = api.says["POST /predict/batch"]

    def last_words(request: Request) -> Answer:
        return answered(request) if len(api.asked) == 1 else Answer(b"<html>gone</html>", 502, content_type="text/html")

    api.says["POST /predict/batch"] = last_words
    rows = list(recognise(client, files(*[b"face"] * 30), nobody_waits))
    assert [row.again for row in rows] == [False] * 8 + [True] * 22
    assert rows[-1].reason == "The service does not answer."
    assert len(api.asked) == 2


def test_an_error_at_one_request_does_not_cost_the_others(api, client):
    answered = api.says["POST /predict/batch"]
    api.says["POST /predict/batch"] = lambda request: (
        answered(request) if len(api.asked) > 1 else problem(500, "internal", "Boom")
    )
    rows = list(recognise(client, files(*[b"face"] * 12), nobody_waits))
    assert [row.result is None for row in rows] == [True] * 8 + [False] * 4
    assert rows[0].again


def test_files_of_the_same_name_are_numbered_in_their_order_and_others_are_not():
    rows = [FileRow(name) for name in ("face.jpg", "smile.jpg", "face.jpg", "Face.jpg")]
    assert [row.file for row in told_apart(rows)] == ["face.jpg (1)", "smile.jpg", "face.jpg (2)", "Face.jpg"]


def test_a_number_is_left_out_where_a_file_has_that_name_already():
    rows = [FileRow(name) for name in ("face.jpg", "face.jpg (1)", "face.jpg")]
    assert [row.file for row in told_apart(rows)] == ["face.jpg (2)", "face.jpg (1)", "face.jpg (3)"]


@given(st.lists(st.sampled_from(["a", "a (1)", "a (1) (1)", "b", ""]), max_size=12))
def test_no_two_files_are_shown_under_one_name(names):
    rows = told_apart([FileRow(name, reason=str(number)) for number, name in enumerate(names)])
    assert len({row.file for row in rows}) == len(names)
    assert [row.reason for row in rows] == [str(number) for number in range(len(names))]
    assert all(row.file == name or names.count(name) > 1 for row, name in zip(rows, names, strict=True))
