"""Write synthetic sample data from the command line.

python -m mlopsproject.data.synthetic train_data --images 2600 --seed 0
python -m mlopsproject.data.synthetic drift_data --images 300 --seed 0 --drift
python -m mlopsproject.data.synthetic sample_faces.png --sheet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
from rich.console import Console

from mlopsproject.core.classes import resolve_classes
from mlopsproject.core.errors import UserError
from mlopsproject.data.synthetic.write import contact_sheet, write_dataset


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: command line without the program's name; that of the process by default.

    Returns:
        Exit code: 0 done, 1 user error.
    """
    options = _parser().parse_args(arguments)
    classes = options.classes if options.classes in {"five", "seven"} else options.classes.split(",")
    console = Console(stderr=True)
    try:
        if options.sheet:
            sheet = contact_sheet(resolve_classes(classes), seed=options.seed, size=options.size, drift=options.drift)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_bytes(cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
            console.print(f"Drew {options.out}")
        else:
            counts = write_dataset(
                options.out,
                images=options.images,
                classes=classes,
                seed=options.seed,
                size=options.size,
                drift=options.drift,
            )
            found = ", ".join(f"{count} {name}" for name, count in counts.items())
            console.print(f"Wrote {sum(counts.values())} synthetic faces to {options.out}: {found}")
    except UserError as error:
        console.print(f"Error: {error}", style="red", soft_wrap=True)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlopsproject.data.synthetic", description="Write synthetic sample faces as class folders."
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create (with --sheet: PNG file)")
    parser.add_argument("--images", type=int, default=2600, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal images (default: %(default)s)")
    parser.add_argument("--classes", default="five", help="five, seven, or names such as happy,sad (default: five)")
    parser.add_argument("--size", type=int, default=64, help="side in pixels (default: %(default)s)")
    parser.add_argument("--drift", action="store_true", help="the drifted world: dim, blurred, turned, half hidden")
    parser.add_argument("--sheet", action="store_true", help="draw a labelled contact sheet instead of a data set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
