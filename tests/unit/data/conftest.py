"""Sources of a few small pictures, written in whatever layout a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def draw(seed: int, side: int = 32) -> Image.Image:
    """A soft random picture: unlike any other seed's, robust to small changes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    """``picture(seed, side=32)``: a gray picture that differs from every other seed's."""
    return draw


@pytest.fixture
def write_faces(tmp_path: Path) -> Callable[..., Path]:
    """``write_faces(["train/happy", ...], each=3)``: a source folder with `each` different pictures per folder."""

    def write(folders: Iterable[str], each: int = 3, side: int = 32, root: str = "source", seed: int = 0) -> Path:
        source = tmp_path / root
        for number, folder in enumerate(folders):
            (source / folder).mkdir(parents=True, exist_ok=True)
            for index in range(each):
                draw(seed + 1000 * number + index, side).save(source / folder / f"{index:04}.png")
        return source

    return write
