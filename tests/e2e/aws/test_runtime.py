"""The function under AWS's own runtime client, asked through a Runtime API on this machine."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.prediction_rows import wait_for
from tests.unit.aws.test_events import JSON, format_2

from mlopsproject.core.predictor import Predictor
from mlopsproject.core.schemas import Problem
from mlopsproject.data.synthetic import sample_face
from mlopsproject.load.lambda_runtime import RuntimeApi, local_function
from mlopsproject.load.processes import Server

pytestmark = pytest.mark.slow
EVENTS = 500


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RuntimeApi, Server]]:
    with local_function(tmp_path_factory.mktemp("lambda")) as started:
        yield started


@pytest.fixture(scope="module")
def face(encode: Callable[..., bytes]) -> bytes:
    return encode(sample_face("happy", 9, seed=0, size=64), "JPEG", quality=95)


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_face_gets_the_predictors_answer(function, face: bytes) -> None:
    api, _ = function
    expected = Predictor.load("production").predict(face)[0].probabilities
    assert api.invoke({"image": text(face)}).result == pytest.approx(expected, abs=1e-6)
    request = format_2(headers={"content-type": "image/jpeg"}, body=text(face), isBase64Encoded=True)
    response = api.invoke(request).result
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["probabilities"] == pytest.approx(expected, abs=1e-6)


def test_an_address_of_this_machine_is_refused(function) -> None:
    api, _ = function
    problem = Problem.model_validate(api.invoke({"url": "http://localhost/latest/meta-data"}).result)
    assert (problem.status, problem.type) == (422, "forbidden_address")


def hostile(number: int, face: bytes, rng: random.Random) -> Any:
    """An event that a stranger might send: broken pictures, wrong types, and requests of both formats around them."""
    broken = bytearray(face)
    for _ in range(rng.randint(0, 30)):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    content: Any = rng.choice([bytes(broken), bytes(broken[: rng.randrange(len(broken))]), rng.randbytes(2000), b""])
    junk = rng.choice(
        [None, 7, -1e308, [], {}, "", "x" * 100_000, "".join(rng.choices(string.printable, k=50)), "\u0000\ud7ff"]
    )
    return [
        {"image": text(content)},
        {"image": junk},
        {"url": rng.choice([junk, "http://127.0.0.1", "http://[::1]/", "file:///etc/passwd", "http://a" + "." * 99])},
        format_2(headers=rng.choice([JSON, {}, junk]), body=junk),
        format_2(headers={"content-type": "image/jpeg"}, body=text(content), isBase64Encoded=True),
        {"httpMethod": junk, "headers": junk, "body": text(content), "isBase64Encoded": rng.choice([True, "yes", 1])},
        junk,
    ][number % 7]


@pytest.mark.timeout(600)
def test_nothing_that_strangers_send_ends_it(function, face: bytes) -> None:
    api, process = function
    rng = random.Random(1)
    statuses = set()
    for number in range(EVENTS):
        event = hostile(number, face, rng)
        invocation = api.invoke(event)
        assert invocation.error is None, event
        result = invocation.result
        status = result.get("statusCode", result.get("status", 200))
        assert status < 500, (event, result)
        statuses.add(status)
    assert {200, 400, 415, 422} <= statuses
    assert process.exit_code is None
    assert "happy" in api.invoke({"image": text(face)}).result


def test_a_model_that_is_not_there_is_said_once_and_it_ends(tmp_path: Path) -> None:
    with local_function(tmp_path, MODEL_URI="nowhere") as (api, process):
        with pytest.raises(Exception, match="nowhere"):
            api.invoke({})
        wait_for(lambda: process.exit_code is not None, 10)
        assert process.exit_code != 0
