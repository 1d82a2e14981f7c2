"""The sample data that travels with the repository: complete, undamaged, and what the renderer draws."""

from __future__ import annotations

import configparser
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from mlopsproject.core.classes import FIVE
from mlopsproject.data.synthetic import sample_face
from mlopsproject.data.synthetic.write import class_counts, folder_name

ROOT = Path(__file__).parents[3]
REMOTE = ROOT / "data_remote"
SETS = {"train_data": (2600, False), "drift_data": (300, True)}


def stored(md5: str) -> Path:
    return REMOTE / "files" / "md5" / md5[:2] / md5[2:]


def tracked(name: str) -> dict[str, Any]:
    output: dict[str, Any] = yaml.safe_load((ROOT / f"{name}.dvc").read_text())["outs"][0]
    return output


def listing(name: str) -> dict[str, str]:
    """Path inside the data set → MD5."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(stored(tracked(name)["md5"]).read_text())}


def test_the_default_remote_is_a_folder_inside_the_repository() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    remote = config["core"]["remote"]
    assert (ROOT / ".dvc" / config[f"'remote \"{remote}\"'"]["url"]).resolve() == REMOTE


@pytest.mark.parametrize("name", SETS)
def test_every_tracked_file_is_in_the_remote_with_its_hash(name: str) -> None:
    files = listing(name)
    assert len(files) == tracked(name)["nfiles"]
    content = {md5: stored(md5).read_bytes() for md5 in files.values()}
    assert [md5 for md5, data in content.items() if hashlib.md5(data).hexdigest() != md5] == []
    assert sum(len(data) for data in content.values()) == tracked(name)["size"]


@pytest.mark.parametrize("name", SETS)
def test_classes_are_those_that_the_writer_gives(name: str) -> None:
    images, _ = SETS[name]
    expected = {
        f"{folder_name(emotion)}/{emotion}_{index:05d}.jpg"
        for emotion, count in class_counts(images, FIVE).items()
        for index in range(count)
    }
    assert listing(name).keys() == expected


def test_no_picture_occurs_twice() -> None:
    hashes = [md5 for name in SETS for md5 in listing(name).values()]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("emotion", FIVE)
def test_tracked_pictures_are_what_the_renderer_draws(name: str, emotion: str) -> None:
    files, (_, drift) = listing(name), SETS[name]
    for index in (0, 20, 40):
        data = stored(files[f"{folder_name(emotion)}/{emotion}_{index:05d}.jpg"]).read_bytes()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        drawn = sample_face(emotion, index, seed=0, drift=drift)
        # JPEG at quality 90 moves pixels by a level or two; other builds of OpenCV round differently.
        assert np.abs(picture.astype(int) - drawn).mean() < 3.5
        assert np.corrcoef(picture.ravel(), drawn.ravel())[0, 1] > 0.95


def test_sample_data_stays_small() -> None:
    assert sum(tracked(name)["size"] for name in SETS) < 6_000_000
