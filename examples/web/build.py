"""Assemble the page, ONNX Runtime for browsers and a bundle into a folder that any web server can give out."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from mlopsproject.core.errors import UserError
from mlopsproject.core.resolve import resolve_bundle

HERE = Path(__file__).parent
PAGE = ("index.html", "style.css", "page.js", "model.js", "preprocess.js")
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def build(bundle: str, store: str, out: Path) -> None:
    """Make the folder anew.

    Args:
        bundle: its alias, name or folder.
        store: where aliases and names are looked up.
        out: the folder.

    Raises:
        UserError: if the folder holds something else, without npm, if its packages cannot be installed, or for a
            missing or damaged bundle.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())) and not (out / "model/spec.json").is_file():
        raise UserError(f"{out} holds something else than a page of this kind.", "Give an empty folder as --out.")
    found = resolve_bundle(bundle, store)
    npm = shutil.which("npm")
    if npm is None:
        raise UserError("npm is not installed; it brings ONNX Runtime for browsers.", "Install Node.js.")
    installed = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=False)
    if installed.returncode:
        raise UserError("npm ci failed; its messages are above.")
    if found.spec.input.resize_filter != "bilinear":
        raise UserError(f"{found.spec.name} resizes with {found.spec.input.resize_filter}, this page bilinearly.")
    files = {name: HERE / name for name in PAGE}
    files |= {f"ort/{name}": HERE / "node_modules/onnxruntime-web/dist" / name for name in RUNTIME}
    files |= {f"model/{name}": found.path / name for name in ("spec.json", "MODEL_CARD.md")}
    files |= {f"model/{entry.file}": found.path / entry.file for entry in found.spec.precisions.values()}
    # Aside first, so that what is interrupted leaves the page of before.
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name, source in files.items():
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, new / name)
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="production", help="alias, name or folder (production)")
    parser.add_argument("--store", default="models", help="where bundles are (models)")
    parser.add_argument("--out", type=Path, default=Path("dist/web"), help="the folder, made anew (dist/web)")
    options = parser.parse_args()
    try:
        build(options.bundle, options.store, options.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Page: {options.out}. To see it: python -m http.server --bind 127.0.0.1 --directory {options.out} 8080")
    return 0


if __name__ == "__main__":
    sys.exit(main())
