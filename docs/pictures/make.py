"""Make the pictures of the documentation that show the product at work, on synthetic faces only.

python docs/pictures/make.py                  # all, some minutes; needs Chromium
python docs/pictures/make.py frontend drift   # some
python docs/pictures/make.py raters_disagreement raters_gains   # of real faces: when they are asked for

Learning curves, the comparison of bundles and the result of a retraining are not made here: runs draw them. The
diagram of the architecture is an SVG, to be edited as text.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from airflow import show_airflow, show_airflow_form
from PIL import Image
from raters import show_disagreement, show_two_truths
from reports import show_data_report, show_drift, show_evaluation, show_sample_faces
from service import show_api_page, show_frontend, show_monitoring, show_web_page

IMAGES: Final = Path(__file__).parents[1] / "images"
LARGEST: Final = 200_000
#: How many colours a picture may keep, tried in turn until it is small enough.
_COLOURS: Final = (256, 128, 64, 32)
#: Each draws a PNG, in a folder of its own.
PICTURES: Final[dict[str, Callable[[Path, Path], None]]] = {
    "sample_faces": show_sample_faces,
    "data_report": show_data_report,
    "evaluation_report": show_evaluation,
    "drift": show_drift,
    "api_page": show_api_page,
    "frontend": show_frontend,
    "monitoring": show_monitoring,
    "web_page": show_web_page,
    "airflow": show_airflow,
    "airflow_form": show_airflow_form,
}
#: Plots of real faces, which the project does not ship; drawn when they are asked for.
PLOTS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "raters_disagreement": show_disagreement,
    "raters_gains": show_two_truths,
}


def main() -> int:
    """Make the pictures that the command line names.

    Returns:
        Exit code.
    """
    every = PICTURES | PLOTS
    parser = argparse.ArgumentParser(description="Make pictures of the documentation.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(every)}; by default {', '.join(PICTURES)}"
    )
    names = parser.parse_args().names
    if unknown := set(names) - set(every):
        parser.error(f"no picture {', '.join(sorted(unknown))}; known: {', '.join(every)}")
    for name in names or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            target = IMAGES / f"{name}.png"
            drawn = Path(folder) / "picture.png"
            every[name](drawn, Path(folder))
            size = _save_small(drawn, target)
        sys.stdout.write(f"docs/images/{target.name}: {size // 1000} kB\n")
    return 0


def _save_small(drawn: Path, target: Path) -> int:
    """Save a picture with as few colours as it takes to be small, and give its size in bytes."""
    if drawn.stat().st_size < LARGEST:
        return shutil.copy(drawn, target).stat().st_size
    with Image.open(drawn) as picture:
        plain = picture.convert("RGB")
    for colours in _COLOURS:
        plain.quantize(colours, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size < LARGEST:
            return target.stat().st_size
    raise SystemExit(f"{target} has {target.stat().st_size} bytes; show less in it.")


if __name__ == "__main__":
    sys.exit(main())
