"""How soon the Lambda function answers, under AWS's runtime client, beside a Predictor in this process."""

from __future__ import annotations

import base64
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from PIL import Image

from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import UserError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.synthetic import sample_face
from mlopsproject.load.lambda_runtime import HANDLER, RuntimeApi
from mlopsproject.load.processes import neutral_environment

COLD_SECONDS: Final = 2.0
#: A warm answer may take so many times the Predictor's own time, and so many ms more.
WARM_FACTOR: Final = 1.3
WARM_MS: Final = 5.0
_FACE: Final = 64


def benchmark_lambda(bundle: str, store: str, faces: int, rounds: int, starts: int) -> dict[str, Any]:
    """Measure cold starts and warm answers.

    Args:
        bundle: its name, alias or folder.
        store: where bundles are.
        faces: different pictures per round.
        rounds: turns of function and Predictor; the best counts.
        starts: cold starts; the fastest counts.

    Returns:
        Figures with their bars.

    Raises:
        ConfigError: for an impossible value.
        UserError: if the runtime client is not installed, or the function does not start.
    """
    for name, value in (("faces", faces), ("rounds", rounds), ("starts", starts)):
        check_whole(f"lambda.{name}", value, lowest=1)
    if find_spec("awslambdaric") is None:
        raise UserError("The runtime client awslambdaric is not installed.", "Run: uv sync --extra aws")
    predictor = Predictor.load(bundle, store=store)
    pictures = [_picture(number) for number in range(faces)]
    events = [{"image": base64.b64encode(picture).decode()} for picture in pictures]
    environment = {"MODEL_URI": str(predictor.bundle.path.resolve())}
    cold = min(_cold(events[0], environment) for _ in range(starts))
    own, warm = [], []
    with _function(environment) as api:
        api.invoke(events[0])
        predictor.predict(pictures[0])
        for _ in range(rounds):
            own.append(statistics.median(_own(predictor, picture) for picture in pictures))
            warm.append(statistics.median(api.invoke(event).milliseconds for event in events))
    most = WARM_FACTOR * min(own) + WARM_MS
    return {
        "machine": cpu_name(),
        "model": predictor.model_version,
        "the Predictor itself, ms": min(own),
        "bars": {
            "cold start to first answer, s": _bar(cold, COLD_SECONDS),
            "a face, warm, ms": _bar(min(warm), most),
        },
    }


def _bar(measured: float, largest: float) -> dict[str, Any]:
    return {"measured": measured, "bar": f"<= {largest:.3g}", "met": measured <= largest}


def _picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(sample_face("happy", number, seed=0, size=_FACE)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def _own(predictor: Predictor, picture: bytes) -> float:
    began = time.perf_counter()
    predictor.predict(picture)
    return 1000 * (time.perf_counter() - began)


def _cold(event: Any, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    with _function(environment) as api:
        api.invoke(event)
        return time.perf_counter() - began


@contextmanager
def _function(environment: dict[str, str]) -> Iterator[RuntimeApi]:
    with RuntimeApi() as api, tempfile.TemporaryDirectory(prefix="benchmark-lambda-") as folder:
        settings = neutral_environment() | api.environment() | {"_HANDLER": HANDLER} | environment
        command = [sys.executable, "-m", "awslambdaric", HANDLER]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log)  # noqa: S603
        try:
            yield api
        finally:
            process.kill()
            process.wait()
