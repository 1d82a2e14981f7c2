"""The pages without a browser, in front of a stub of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from tests.unit.frontend.stub_api import StubApi

from mlopsproject.frontend.client import ApiClient
from mlopsproject.frontend.settings import FrontendSettings

Open = Callable[..., AppTest]
_PAGE = "from mlopsproject.frontend.views import {name}\n{name}.page()\n"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StubApi]:
    """A stub of the API, which the frontend's settings name; nothing of the developer's settings is seen."""
    for name in FrontendSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    stub = StubApi()
    monkeypatch.setenv("BACKEND", stub.address)
    yield stub
    stub.stop()


@pytest.fixture
def client(api: StubApi) -> Iterator[ApiClient]:
    """A client of the stub."""
    made = ApiClient(FrontendSettings.read(None))
    yield made
    made.close()


@pytest.fixture
def open_page(api: StubApi) -> Open:
    """Open a page: ``open_page()`` is the whole app at its first page, ``open_page("batch")`` one page by itself."""

    def start(name: str | None = None) -> AppTest:
        if name is None:
            app = str(files("mlopsproject.frontend").joinpath("app.py"))
            return AppTest.from_file(app, default_timeout=30).run()
        return AppTest.from_string(_PAGE.format(name=name), default_timeout=30).run()

    return start


@pytest.fixture(scope="session")
def png(encode: Callable[..., bytes], smooth_picture: Callable[..., Image.Image]) -> bytes:
    """A picture that is large enough for faces to be searched in it."""
    return encode(smooth_picture(200, 150))
