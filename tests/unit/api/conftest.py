"""The API in this process: a client per set of settings, and pictures with drawn faces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.core.bundle import Bundle
from mlopsproject.data.synthetic import sample_face
from mlopsproject.prediction_log.settings import LogSettings

with warnings.catch_warnings():
    # It would rather have another version of httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

Serve = Callable[..., TestClient]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer() -> Iterator[None]:
    """Nothing that the shell happens to hold reaches the settings of a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*ApiSettings.model_fields, *LogSettings.model_fields, "prometheus_multiproc_dir"]:
            patch.delenv(name.upper(), raising=False)
        yield


def _start(stack: ExitStack, bundle: Bundle, data_dir: Path, settings: dict[str, Any]) -> TestClient:
    own = {name: settings.pop(name) for name in list(settings) if name in LogSettings.model_fields}
    log_settings = LogSettings(**{"data_dir": data_dir, "log_drain_seconds": 0.05, **own})
    chosen = {"model_uri": str(bundle.path), "model_precision": "fp32", "model_reload_seconds": 0, **settings}
    app = create_app(ApiSettings(**chosen), log_settings)
    return stack.enter_context(TestClient(app, client=("127.0.0.1", 50000)))


@pytest.fixture(scope="module")
def client(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A running API with the tiny bundle, no limits. Shared within a file."""
    data_dir = tmp_path_factory.mktemp("serving")
    with ExitStack() as stack:
        yield _start(stack, tiny_bundle, data_dir, {})


@pytest.fixture
def serve(tiny_bundle: Bundle, tmp_path: Path) -> Iterator[Serve]:
    """Start another API: ``serve(rate_limit="2/minute", log_durability="off")``."""
    with ExitStack() as stack:
        yield lambda **settings: _start(stack, tiny_bundle, tmp_path / "serving", settings)


@pytest.fixture(scope="session")
def face(encode: Callable[..., bytes], smooth_picture: Callable[..., Image.Image]) -> bytes:
    """A small picture as JPEG, 64 x 64, taken for a face that was cut out."""
    return encode(smooth_picture(), "JPEG", quality=90)


@pytest.fixture(scope="session")
def two_faces() -> Image.Image:
    """A gray picture of 640 x 320 with two drawn faces, the larger one on the left."""
    picture = Image.new("L", (640, 320), 128)
    for index, size, place in ((9, 220, (40, 60)), (10, 160, (400, 100))):
        picture.paste(Image.fromarray(sample_face("happy", index, seed=0, size=size)), place)
    return picture
