"""The Lambda function answers as the API does, and whatever comes, it answers."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from tests.unit.aws.test_events import JSON, format_1, format_2

from mlopsproject.aws.function import PATHS, Function
from mlopsproject.aws.settings import LambdaSettings
from mlopsproject.core import safe_fetch
from mlopsproject.core.bundle import Bundle
from mlopsproject.core.errors import StoreError
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.safe_fetch import FetchError
from mlopsproject.core.schemas import Answer, Problem
from mlopsproject.data.synthetic import sample_face

CONTEXT = SimpleNamespace(aws_request_id="a-1", get_remaining_time_in_millis=lambda: 20_000)


@pytest.fixture(scope="module")
def function(tiny_bundle: Bundle) -> Function:
    return Function(LambdaSettings(model_uri=str(tiny_bundle.path)))


@pytest.fixture(scope="module")
def face(encode: Callable[..., bytes]) -> bytes:
    return encode(sample_face("happy", 9, seed=0, size=64))


@pytest.fixture(scope="module")
def photo(encode: Callable[..., bytes]) -> bytes:
    """Two drawn faces in a larger picture, which takes a search."""
    picture = Image.new("L", (640, 320), 128)
    for index, size, place in ((9, 220, (40, 60)), (10, 160, (400, 100))):
        picture.paste(Image.fromarray(sample_face("happy", index, seed=0, size=size)), place)
    return encode(picture, "JPEG", quality=95)


def held(content: bytes, **more: Any) -> dict[str, Any]:
    return {"image": base64.b64encode(content).decode(), **more}


def test_a_direct_call_gets_the_predictors_probabilities(function: Function, face: bytes, tiny_bundle: Bundle) -> None:
    assert function.answer(held(face), CONTEXT) == Predictor(tiny_bundle).predict(face)[0].probabilities


@pytest.mark.parametrize("event", [format_1, format_2])
def test_a_gateway_gets_a_response_with_every_face(event, function: Function, photo: bytes) -> None:
    body = {"body": base64.b64encode(photo).decode(), "isBase64Encoded": True}
    response = function.answer(event(headers={"content-type": "image/jpeg"}, **body), CONTEXT)
    assert (response["statusCode"], response["headers"]["Content-Type"]) == (200, "application/json")
    answer = json.loads(response["body"])
    Answer.model_validate(answer)
    assert (answer["request_id"], answer["face_search"], len(answer["faces"])) == ("a-1", "found", 1)
    everybody = function.answer(event(headers=JSON, body=json.dumps(held(photo, face="all"))), CONTEXT)
    assert len(json.loads(everybody["body"])["faces"]) == 2


def test_health(function: Function) -> None:
    for path in ("/health", "/", "/prod/health", "/prod/", "/prod/health/"):
        response = function.answer(format_1(path=path, httpMethod="GET"))
        assert (response["statusCode"], json.loads(response["body"])["status"]) == (200, "ok")


@pytest.mark.parametrize(
    ("event", "status", "kind"),
    [
        (format_2(rawPath="/admin"), 404, "not_found"),
        (format_2(requestContext={"http": {"method": "PUT"}}), 405, "method_not_allowed"),
        (format_2(requestContext={"http": {"method": "GET"}}), 405, "method_not_allowed"),
        (format_2(rawPath="/health"), 405, "method_not_allowed"),
        (format_2(rawPath="/a/b/"), 404, "not_found"),
        (format_2(headers=JSON, body=json.dumps(held(b"no picture"))), 400, "not_an_image"),
        (format_2(headers=JSON, body="{"), 400, "malformed"),
        (format_2(headers=JSON, body='{"url": "http://169.254.169.254/latest"}'), 422, "forbidden_address"),
    ],
)
def test_problems_are_documents(event, status, kind, function: Function) -> None:
    response = function.answer(event, CONTEXT)
    assert (response["statusCode"], response["headers"]["Content-Type"]) == (status, "application/problem+json")
    problem = Problem.model_validate_json(response["body"])
    assert (problem.status, problem.type, problem.request_id) == (status, kind, "a-1")


def test_a_method_that_is_not_taken_comes_back_with_those_that_are(function: Function) -> None:
    response = function.answer(format_2(rawPath="/health"))
    assert response["headers"]["Allow"] == ", ".join(PATHS["/health"])
    assert "Allow" not in function.answer(format_1(path="/health", httpMethod="GET"))["headers"]


def test_a_picture_that_a_gateway_has_read_as_text_says_what_is_missing_there(
    function: Function, encode, smooth_picture
) -> None:
    text = encode(smooth_picture(), "JPEG").decode("utf-8", "replace")
    response = function.answer(format_1(headers={"content-type": "image/jpeg"}, body=text))
    assert response["statusCode"] == 400
    assert "binaryMediaTypes" in json.loads(response["body"])["detail"]


def test_a_problem_is_short_however_much_is_wrong(function: Function) -> None:
    for wrong in ({"é" * 1_000_000: 1}, {f"field{number}": 1 for number in range(1000)}):
        problem = Problem.model_validate(function.answer({"image": "AAAA", **wrong}))
        assert problem.status == 422
        assert len(problem.detail) < 1000


def test_a_direct_call_gets_the_problem_itself(function: Function) -> None:
    assert Problem.model_validate(function.answer({"image": "%"})).type == "invalid"
    for nonsense in (None, 5, "x", [], {"Records": []}):
        assert Problem.model_validate(function.answer(nonsense)).status == 422


def test_a_url_is_fetched_within_the_time_that_is_left(function: Function, face: bytes, monkeypatch) -> None:
    asked: dict[str, Any] = {}

    async def fetch(url: str, **limits: Any) -> bytes:
        asked.update(limits, url=url)
        return face

    monkeypatch.setattr(safe_fetch, "fetch", fetch)
    soon = SimpleNamespace(aws_request_id="a-2", get_remaining_time_in_millis=lambda: 3_000)
    answer = function.answer({"url": "https://example.org/a.png"}, soon)
    assert answer == function.answer(held(face))
    assert asked == {"url": "https://example.org/a.png", "max_bytes": 10_000_000, "timeout": 2.5}


def test_an_address_that_gives_no_picture(function: Function, monkeypatch) -> None:
    async def fetch(url: str, **limits: Any) -> bytes:
        raise FetchError("timeout", "The address gave no picture within 2.5 s.")

    monkeypatch.setattr(safe_fetch, "fetch", fetch)
    assert function.answer({"url": "https://example.org/a.png"})["status"] == 502


def test_a_fault_of_its_own_is_500_and_in_the_log(function: Function, face: bytes, monkeypatch, caplog) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Predictor, "predict_inputs", fail)
    problem = function.answer(held(face))
    assert (problem["status"], problem["type"]) == (500, "internal")
    assert "secret" not in problem["detail"]
    assert "RuntimeError: secret" in caplog.text


def test_the_log_tells_nothing_of_the_picture(function: Function, face: bytes, caplog) -> None:
    with caplog.at_level(logging.INFO):
        function.answer(held(face), CONTEXT)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("request_id=a-1 status=200 model_version=tiny-")
    assert "happy" not in line


def test_a_picture_is_decoded_where_there_are_no_semaphores(function: Function, photo: bytes, monkeypatch) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise OSError(38, "Function not implemented")

    # As on Lambda, which has no /dev/shm.
    monkeypatch.setattr("_multiprocessing.SemLock", none)
    assert "happy" in function.answer(held(photo))


def test_a_model_that_cannot_be_loaded_is_said_at_the_start() -> None:
    with pytest.raises(StoreError, match="nowhere"):
        Function(LambdaSettings(model_uri="nowhere"))


def test_it_needs_neither_server_nor_training() -> None:
    heavy = "fastapi starlette sqlalchemy torch pandas hydra boto3 httpx"
    code = f"import sys, mlopsproject.aws; print([n for n in {heavy.split()} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
