"""Pictures of what the jobs write: sample faces, data report, evaluation report, drift."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from browser import open_page

ROOT: Final = Path(__file__).parents[2]
_WIDTH: Final = 1000
_ANGRY, _HAPPY = "train_data/Angry", "train_data/Happy"


def run_job(name: str, *arguments: str, codes: tuple[int, ...] = (0,)) -> None:
    """Run a job in the repository.

    Args:
        name: of its module.
        *arguments: of its command line.
        codes: with which it may end.
    """
    command = [sys.executable, "-m", f"mlopsproject.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # noqa: S603  # a program of ours
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def show_sample_faces(picture: Path, _: Path) -> None:
    """A sheet of synthetic faces.

    Args:
        picture: to write.
    """
    run_job("data.synthetic", str(picture), "--sheet")


def show_data_report(picture: Path, folder: Path) -> None:
    """The head of a data report, of two classes with all that may be wrong in a folder of pictures.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    source = folder / "messy"
    for name in (_ANGRY, _HAPPY):
        shutil.copytree(ROOT / name, source / Path(name).name)
    faces = sorted((source / "Angry").iterdir())
    shutil.copy(faces[0], source / "Happy" / "also_angry.jpg")
    (source / "Angry" / "empty.jpg").touch()
    (source / "Angry" / "cut_off.jpg").write_bytes(faces[1].read_bytes()[:500])
    (source / "Happy" / "notes.jpg").write_text("no picture", encoding="utf-8")
    (source / "README.txt").write_text("about these faces", encoding="utf-8")
    place = [f"root={folder / 'data'}", f"hydra.run.dir={folder / 'run'}"]
    run_job("import_data", f"source={source}", "name=messy", "progress=false", *place)
    run_job("data_report", "name=messy", f"output={folder / 'report.html'}", *place)
    with open_page((folder / "report.html").as_uri(), (_WIDTH, 1230)) as page:
        page.screenshot(path=picture)


def show_evaluation(picture: Path, folder: Path) -> None:
    """The head of an evaluation report: the bundle `sample` on its test faces.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    run_job("evaluate", "bundle=sample", f"data.root={folder / 'data'}", f"hydra.run.dir={folder / 'run'}")
    with open_page((folder / "run/report.html").as_uri(), (_WIDTH, 1150)) as page:
        page.screenshot(path=picture)


def show_drift(picture: Path, folder: Path) -> None:
    """What a drift run draws: the drifted sample faces against the bundle `sample`.

    Args:
        picture: to write.
        folder: for what is made on the way.
    """
    run_job(
        "drift",
        "bundle=sample",
        "current=drift_data",
        "publish=false",
        "progress=false",
        f"hydra.run.dir={folder / 'run'}",
        codes=(3,),
    )
    shutil.copy(folder / "run/drift.png", picture)
