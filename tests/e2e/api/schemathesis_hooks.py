"""Pictures for Schemathesis, which by itself would send random bytes as files."""

import io

import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image


def _picture(seed: int, width: int, height: int, file_format: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


_side = st.integers(min_value=20, max_value=120)
for _format in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
    schemathesis.openapi.media_type(
        f"image/{_format.lower()}", st.builds(_picture, st.integers(0, 9), _side, _side, st.just(_format))
    )
