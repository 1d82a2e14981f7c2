"""What answers from a bundle stays light: no torch, pandas or pyarrow in the process."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "torch",
    "torchvision",
    "pytorch_lightning",
    "pandas",
    "pyarrow",
    "sklearn",
    "matplotlib",
    "s3fs",
    "gcsfs",
    "onnx",
}


def imported_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_prediction_needs_none_of_the_heavy_libraries(tiny_bundle):
    code = (
        "from mlopsproject import Predictor\nimport numpy\n"
        f"Predictor.from_folder({str(tiny_bundle.path)!r}).predict(numpy.zeros((48, 48), 'uint8'))"
    )
    assert not imported_after(code) & HEAVY


def test_batch_scoring_into_csv_needs_none_either(tiny_bundle, tmp_path, encode, smooth_picture):
    (tmp_path / "face.png").write_bytes(encode(smooth_picture()))
    code = (
        "from pathlib import Path\nfrom mlopsproject import Predictor\n"
        "from mlopsproject.core.batch_scoring import score\n"
        f"predictor = Predictor.from_folder({str(tiny_bundle.path)!r})\n"
        f"score({str(tmp_path)!r}, predictor, Path({str(tmp_path)!r}, 'out.csv'))"
    )
    assert not imported_after(code) & HEAVY


def test_importing_the_package_alone_loads_next_to_nothing():
    assert not imported_after("import mlopsproject") & {*HEAVY, "numpy", "onnxruntime", "pydantic"}
