# /// script
# dependencies = ["ai-edge-litert>=2.3", "pillow>=11"]
# ///
"""Say what a face seems to show: uv run answer.py PICTURE [FOLDER [fp32|int8]]; FOLDER has a litert.json."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


def prepare(path: str, size: int, channels: int, resize_filter: str, mean: list, std: list) -> np.ndarray:
    """Make the network's input of a picture: upright, opaque, resized to a square, normalised."""
    with Image.open(path) as opened:
        if (scale := min(opened.size) // max(512, size)) > 1:  # large JPEGs are decoded at a smaller scale
            opened.draft(None, (opened.width // scale, opened.height // scale))
        seen = ImageOps.exif_transpose(opened)
    if seen.has_transparency_data:
        seen = Image.alpha_composite(Image.new("RGBA", seen.size, (128, 128, 128, 255)), seen.convert("RGBA"))
    small = seen.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling[resize_filter.upper()])
    return ((np.asarray(small).reshape(1, size, size, channels) / 255 - mean) / std).transpose(0, 3, 1, 2).astype("f4")


if not 2 <= len(sys.argv) <= 4 or sys.argv[3:] not in ([], ["fp32"], ["int8"]):
    sys.exit(__doc__)
try:
    picture, folder, precision = [*sys.argv[1:], *("", "fp32")[len(sys.argv) - 2 :]]
    place = Path(folder or max(Path("dist/litert").glob("*"), key=lambda f: f.stat().st_mtime, default="dist/litert"))
    model = json.loads((place / "litert.json").read_text(encoding="utf-8"))
    entry, image = model["precisions"][precision], prepare(picture, **model["input"])
    logits = Interpreter(str(place / entry["file"])).get_signature_runner()(image=image)["logits"][0]
except (LookupError, OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
    sys.exit(f"error: {error}")
odds = np.exp((logits - logits.max()) / entry["temperature"])
ranked = sorted(zip((odds / odds.sum()).tolist(), model["classes"], strict=True), reverse=True)
print(ranked[0][1] if ranked[0][0] >= entry["abstain_threshold"] else "uncertain")
print(*(f"{share:8.2%} {name}" for share, name in ranked), sep="\n")
