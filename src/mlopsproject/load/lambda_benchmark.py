"""How soon the Lambda function answers, under AWS's runtime client, beside a Predictor in this process."""

from __future__ import annotations

import base64
import statistics
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.checks import check_whole
from mlopsproject.core.errors import UserError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.predictor import Predictor
from mlopsproject.load.bars import at_most
from mlopsproject.load.lambda_runtime import local_function
from mlopsproject.load.pictures import draw_faces, encode

COLD_SECONDS: Final = 2.0
#: A warm answer may take so many times the Predictor's own time, and so many ms more.
WARM_FACTOR: Final = 1.3
WARM_MS: Final = 5.0


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
    pictures = [encode(face).content for face in draw_faces(faces)]
    events = [{"image": base64.b64encode(picture).decode()} for picture in pictures]
    model = str(predictor.bundle.path.resolve())
    cold = min(_cold(events[0], model) for _ in range(starts))
    own, warm = [], []
    with tempfile.TemporaryDirectory() as folder, local_function(Path(folder), MODEL_URI=model) as (api, _):
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
            "cold start to first answer, s": at_most(cold, COLD_SECONDS),
            "a face, warm, ms": at_most(min(warm), most),
        },
    }


def _own(predictor: Predictor, picture: bytes) -> float:
    began = time.perf_counter()
    predictor.predict(picture)
    return 1000 * (time.perf_counter() - began)


def _cold(event: Any, model: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with local_function(Path(folder), MODEL_URI=model) as (api, _):
            api.invoke(event)
            return time.perf_counter() - began
