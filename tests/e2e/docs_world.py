"""A place where the commands of the documentation run: a copy of the repository, with the files that they speak of."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from tests.docs_blocks import ROOT

from mlopsproject.core.classes import FIVE, SEVEN
from mlopsproject.data.synthetic import sample_face, write_dataset
from mlopsproject.load.processes import neutral_environment

#: Pictures of the data sets that a reader brings along.
_FACES: Final = 300
_SPLITS: Final = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
#: The run that pages name as an example of an earlier one.
_EARLIER_RUN: Final = "runs/train/2026-01-31_12-00-00"


def environment(world: Path) -> dict[str, str]:
    """The variables of a reader's terminal: no settings, the programs of this environment, the code of the copy.

    Args:
        world: the copy of the repository.
    """
    programs = Path(sys.executable).parent
    return neutral_environment() | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(world / "src"),
        # `uv run` takes the environment as it is.
        "UV_PROJECT_ENVIRONMENT": str(programs.parent),
        "UV_NO_SYNC": "1",
        "UV_FROZEN": "1",
        "CURL_HOME": str(world),
        "DO_NOT_TRACK": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "A reader",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "reader@example.org",
        "PYTHONWARNINGS": "ignore",
    }


def make_world(world: Path) -> None:
    """Copy the repository as git sees it, fetch the sample faces, add a reader's pictures and a first model.

    Args:
        world: folder to make.
    """
    _copy_repository(world)
    (world / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n", encoding="utf-8")
    _run(world, "git", "init", "--quiet")
    _run(world, "git", "add", "--all")
    _run(world, "git", "commit", "--quiet", "--message", "A clone")
    _run(world, sys.executable, "-m", "dvc", "pull", "--quiet")
    _add_pictures(world)
    _run(world, sys.executable, "-m", "mlopsproject.import_data", "source=faces", "name=mine", "progress=false")
    training = ["data.name=mine", "epochs=1", "export.robustness_images=0", f"hydra.run.dir={_EARLIER_RUN}"]
    _run(world, sys.executable, "-m", "mlopsproject.train", *training)


def copy_world(world: Path, copy: Path, page: str) -> None:
    """Copy a world, for one page, and add what that page alone speaks of.

    Args:
        world: that `make_world` has made.
        copy: folder to make.
        page: its path in the repository.
    """
    shutil.copytree(world, copy, symlinks=True)
    if page == "docs/bundles.md":
        shutil.copytree(
            copy / "models" / (copy / "models/aliases/sample").read_text().strip(), copy / "models/my-bundle"
        )


def _copy_repository(world: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (world / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, world / name, follow_symlinks=False)


def _run(world: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=world, env=environment(world), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def _add_pictures(world: Path) -> None:
    """What pages take for granted, by name."""
    write_dataset(world / "faces", images=_FACES, seed=11, progress=False)
    write_dataset(world / "own_faces", images=150, classes=["happy", "sad", "surprise"], seed=12, progress=False)
    (world / "own_faces/Suprise").rename(world / "own_faces/bored")
    for folder in ("holiday_photos", "holiday_photos/beach"):
        (world / folder).mkdir()
    for number in range(110):
        _draw(world / f"holiday_photos/beach/{number}.jpg", number)
    for number, name in enumerate(("face.jpg", "one.jpg", "two.png", "a.jpg", "b.png")):
        _draw(world / name, number)
    group = np.hstack([sample_face("happy", 4, seed=1, size=320), sample_face("surprise", 3, seed=1, size=320)])
    cv2.imwrite(str(world / "group.jpg"), group)
    (world / "list.txt").write_text("face.jpg\none.jpg\n", encoding="utf-8")
    shutil.make_archive(str(world / "faces"), "zip", world / "faces")
    _write_csv(world / "fer2013.csv")
    _write_video(world / "interview.mp4")


def _draw(path: Path, number: int) -> None:
    cv2.imwrite(str(path), sample_face(FIVE[number % len(FIVE)], number, seed=13, size=96))


def _write_csv(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["emotion", "pixels", "Usage"])
        for number in range(200):
            label = FIVE[number % len(FIVE)]
            pixels = sample_face(label, number, seed=14, size=48)
            usage = _SPLITS[number // len(FIVE) % len(_SPLITS)]
            rows.writerow([SEVEN.index(label), " ".join(map(str, pixels.ravel())), usage])


def _write_video(path: Path) -> None:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 320))
    for number in range(20):
        face = sample_face(FIVE[number // 10], 1, seed=15, size=320)
        video.write(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR))
    video.release()
