"""What answers from a bundle stays light: no torch, pandas or pyarrow in the process; the API knows no Hydra either."""

from __future__ import annotations

import subprocess
import sys

from tests.drift_examples import make_report, publish

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
    "evidently",
    "scipy",
    "hydra",
    "omegaconf",
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


def test_an_api_that_answers_and_tells_its_drift_needs_none_either(tiny_bundle, tmp_path, encode, smooth_picture):
    publish(tmp_path / "store", tmp_path / "run", make_report(tiny_bundle.name))
    (tmp_path / "face.png").write_bytes(encode(smooth_picture()))
    code = f"""
import pathlib, warnings
warnings.simplefilter("ignore")
from starlette.testclient import TestClient
from mlopsproject.api.application import create_app
from mlopsproject.api.settings import ApiSettings
from mlopsproject.prediction_log.settings import LogSettings

folder = pathlib.Path({str(tmp_path)!r})
settings = ApiSettings(model_uri={str(tiny_bundle.path)!r}, model_store=str(folder / "store"))
with TestClient(create_app(settings, LogSettings(data_dir=folder / "data"))) as client:
    client.post("/predict/", files={{"data": (folder / "face.png").read_bytes()}}).raise_for_status()
    for path in ("/drift", "/drift/history", "/metrics"):
        client.get(path).raise_for_status()
"""
    imported = imported_after(code)
    assert "mlopsproject.api.routes.drift" in imported
    assert not imported & HEAVY
