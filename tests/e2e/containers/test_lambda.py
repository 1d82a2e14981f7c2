"""The image of the Lambda function, asked through a Runtime API on this machine."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.e2e.containers.images import run

from mlopsproject.core.predictor import Predictor
from mlopsproject.load.containers import Container, layers_mb
from mlopsproject.load.lambda_runtime import RuntimeApi

pytestmark = [pytest.mark.container, pytest.mark.timeout(1800)]
#: MB above the base image.
LARGEST_MB = 350
#: As on Lambda: no shared memory, and thereby no semaphores.
NO_SHARED_MEMORY = ("--tmpfs", "/dev/shm:ro")


@pytest.fixture(scope="module")
def lambda_image(image: Callable[[str], str]) -> str:
    return image("lambda")


def test_it_is_small_and_has_only_what_it_needs(lambda_image: str) -> None:
    assert layers_mb(lambda_image) <= LARGEST_MB
    code = (
        "from importlib.util import find_spec; print([n for n in 'torch fastapi pandas hydra'.split() if find_spec(n)])"
    )
    status, said = run(lambda_image, "-c", code, options=("--entrypoint", "python"))
    assert status == 0, said
    assert "[]" in said.splitlines()


def test_it_answers_with_a_read_only_disk_and_without_semaphores(
    lambda_image: str,
    container: Callable[..., Container],
    face: bytes,
    encode: Callable[..., bytes],
    smooth_picture: Callable[..., object],
) -> None:
    with RuntimeApi() as api:
        variables = [word for pair in api.environment().items() for word in ("--env", "=".join(pair))]
        container(lambda_image, options=("--network", "host", *NO_SHARED_MEMORY, *variables))
        expected = Predictor.load("production").predict(face)[0].probabilities
        first = api.invoke({"image": base64.b64encode(face).decode()})
        assert first.result == pytest.approx(expected, abs=1e-4)
        large = encode(smooth_picture(640, 480), "PNG")
        answer = api.invoke({"image": base64.b64encode(large).decode()}).result
        assert sum(answer.values()) == pytest.approx(1, abs=1e-4)
        assert api.invoke({"image": "AAAA"}).result["type"] == "not_an_image"
        assert api.invoke(None).result["status"] == 422
