"""Images that are built once, and containers that are removed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from tests.e2e.containers.images import ROOT, TAG

from mlopsproject.load.containers import Container, build, engine, start
from mlopsproject.load.processes import free_port


@pytest.fixture(scope="session")
def image() -> Callable[[str], str]:
    """``image("api")`` builds that image on first use and gives its name."""
    return cache(lambda name: build(name, ROOT, TAG))


@pytest.fixture
def container() -> Iterator[Callable[..., Container]]:
    """``container(image, *arguments, inside=8000)`` starts one; it is gone after the test."""
    started: list[Container] = []

    def make(name: str, *command: str, inside: int = 0, **more: Any) -> Container:
        started.append(start(name, *command, port=free_port() if inside else 0, inside=inside, **more))
        return started[-1]

    yield make
    for one in started:
        one.remove()


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume that outlives containers, but not the test."""
    name = engine("volume", "create").stdout.split()[-1]
    yield name
    engine("volume", "rm", "--force", name)


@pytest.fixture
def face(encode: Callable[..., bytes], smooth_picture: Callable[..., object]) -> bytes:
    """A small picture as JPEG, 64 x 64."""
    return encode(smooth_picture(), "JPEG", quality=90)
