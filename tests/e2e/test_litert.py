"""LiteRT files, converted for real: they are small, they answer as the bundle does, a failure leaves nothing.

The converter's packages and those of the example come from uv's cache, or from the package index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from mlopsproject.benchmark import benchmark
from mlopsproject.config import load_config
from mlopsproject.core.predictor import Predictor
from mlopsproject.data.synthetic import sample_face

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/edge/answer.py"
#: Most megabytes of `production`.
LARGEST = {"fp32": 3.0, "int8": 1.0}


def command(output: Path, *overrides: str) -> list[str]:
    """The command line of an export into a folder; what it prints beside stays in that folder, too."""
    own = [f"litert.output={output / 'out'}", f"data.root={output / 'data'}", f"hydra.run.dir={output / 'run'}"]
    return [sys.executable, "-m", "mlopsproject.export", "format=litert", *own, *overrides]


def export(output: Path, *overrides: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(output, *overrides), capture_output=True, text=True, cwd=ROOT, check=False, **options)  # type: ignore[call-overload]


def assert_one_line(done: subprocess.CompletedProcess[str], said: str) -> None:
    """It failed with one line of error, and printed no result."""
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in done.stderr
    assert "LiteRT files" not in done.stdout


def exported(output: Path) -> list[str]:
    """What is in the folder of exports, hidden files included."""
    return sorted(item.name for item in (output / "out").iterdir())


@pytest.fixture(scope="module", params=["production", "sample"])
def bundle(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a bundle, exported twice."""
    output = tmp_path_factory.mktemp(bundle)
    name = (ROOT / "models/aliases" / bundle).read_text().strip()
    for _ in range(2):
        done = export(output, f"litert.bundle={bundle}")
        assert done.returncode == 0, done.stderr
        assert name in done.stdout
        assert exported(output) == [name]
        made = output / "out" / name
        assert sorted(item.name for item in made.iterdir()) == ["litert.json", "model.int8.tflite", "model.tflite"]
        (made / "litert.json").touch()
    return made


def test_the_files_are_small_and_answer_as_the_bundle_does(bundle: str, folder: Path) -> None:
    document = json.loads((folder / "litert.json").read_text())
    assert document["compared"]["images"] >= 250
    entries = document["precisions"]
    assert entries["fp32"]["max_difference"] <= 1e-3
    assert entries["int8"]["same_class"] >= 0.99
    for name, entry in entries.items():
        content = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        if bundle == "production":
            assert len(content) <= LARGEST[name] * 1e6
    assert entries["int8"]["bytes"] < 0.6 * entries["fp32"]["bytes"]


def pictures(place: Path, encode: Callable[..., bytes]) -> list[Path]:
    """Drawn faces as people have them: of many sizes, in colour, turned by the camera, transparent, with a palette."""
    faces = [Image.fromarray(sample_face(name, 3, seed=0, size=200)) for name in ("happy", "sad", "angry", "surprise")]
    wide = Image.merge("RGB", [faces[0], faces[0].point(lambda v: v * 0.8), faces[0].point(lambda v: v * 0.6)])
    turned = Image.Exif()
    turned[0x0112] = 6
    transparent = faces[2].convert("RGBA")
    transparent.putalpha(faces[3])
    made = {
        "gray.png": encode(faces[0]),
        "colour.jpg": encode(wide.resize((333, 250)), "JPEG", quality=90),
        "large.jpg": encode(wide.resize((2200, 1700)), "JPEG", quality=90),
        "turned.jpg": encode(faces[1].rotate(90).convert("RGB"), "JPEG", quality=95, exif=turned),
        "transparent.png": encode(transparent),
        "palette.png": encode(wide.quantize(64)),
        "small.webp": encode(wide.resize((30, 40)), "WEBP", lossless=True),
    }
    for name, content in made.items():
        (place / name).write_bytes(content)
    return [place / name for name in made]


def test_the_examples_answers_are_the_predictors(
    bundle: str, folder: Path, tmp_path: Path, encode: Callable[..., bytes]
) -> None:
    predictor = Predictor.load(bundle, "fp32", store=ROOT / "models")
    for picture in pictures(tmp_path, encode):
        asked = [sys.executable, str(EXAMPLE), str(picture), str(folder)]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
        expected = predictor.predict(picture)[0]
        assert said[0] == ("uncertain" if expected.uncertain else expected.label), picture.name
        shares = {label: float(share) / 100 for share, label in (line.split("% ") for line in said[1:])}
        # Two decimals are printed; in a transparent picture, Pillow rounds the blend in another place.
        assert shares == pytest.approx(expected.probabilities, abs=2e-3 if "transparent" in picture.name else 1e-4)


def test_the_example_runs_by_itself_and_takes_the_newest_export(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "dist/litert" / folder.name)
    Image.fromarray(sample_face("happy", 3, seed=0, size=64)).save(tmp_path / "face.png")
    asked = ["uv", "run", "--no-project", str(EXAMPLE), "face.png"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "% happy" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Say what a face seems to show: uv run answer.py PICTURE"),
        (("nowhere.png",), "error: [Errno 2] No such file or directory: 'nowhere.png'"),
        (("text.png",), "error: cannot identify image file"),
        (("face.png", "nowhere"), "error: [Errno 2] No such file or directory: 'nowhere/litert.json'"),
        (("face.png", "{folder}", "fp16"), "Say what a face seems to show"),
    ],
)
def test_the_example_says_in_a_line_what_is_wrong(
    arguments: tuple[str, ...], said: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "dist/litert" / folder.name)
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(sample_face("happy", 3, seed=0, size=64)).save(tmp_path / "face.png")
    asked = [sys.executable, str(EXAMPLE), *(text.format(folder=folder) for text in arguments)]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_the_benchmark_has_size_and_latency_of_each_file(bundle: str, folder: Path, tmp_path: Path) -> None:
    overrides = ["what=litert", f"litert.bundle={bundle}", f"litert.folder={folder.parent}", "litert.rounds=1"]
    figures = benchmark(load_config("benchmark", [*overrides, f"litert.store={ROOT / 'models'}"]), tmp_path)
    sides = {"ONNX Runtime, fp32", "ONNX Runtime, int8", "LiteRT, fp32", "LiteRT, int8"}
    assert set(figures["matrix"]) == sides
    for row in figures["matrix"].values():
        assert 0 < row["ms"] < 100
        assert 0 < row["MB"] < 5


def converting(job: subprocess.Popen[str]) -> psutil.Process:
    """The converter of an export, once it is at work."""
    for _ in range(600):
        for child in psutil.Process(job.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.cmdline()[1:2] == ["-P"]:
                    return child
        time.sleep(0.1)
    raise AssertionError("no converter began")


@pytest.mark.parametrize(
    ("interrupt", "code", "said"),
    [
        (lambda job, converter: converter.kill(), 1, "error: The LiteRT converter failed: ended by SIGKILL"),
        (lambda job, converter: job.send_signal(signal.SIGINT), 130, "interrupted"),
        (lambda job, converter: job.terminate(), 143, "Stopped by SIGTERM."),
    ],
)
def test_a_converter_or_an_export_that_is_killed_leaves_nothing(
    interrupt: Callable[[subprocess.Popen[str], psutil.Process], None], code: int, said: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        command(tmp_path, "litert.bundle=sample"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        converter = converting(job)
        time.sleep(2)
        interrupt(job, converter)
        out, error = job.communicate(timeout=60)
    assert job.returncode == code
    assert said in error
    assert "Traceback" not in error
    assert "LiteRT files" not in out
    assert not converter.is_running() or converter.status() == psutil.STATUS_ZOMBIE
    assert exported(tmp_path) == []


@pytest.mark.parametrize("kilobytes", [600, 3000])
def test_a_full_disk_is_said_and_leaves_nothing(kilobytes: int, tmp_path: Path) -> None:
    """Full before the converter begins, and while it writes: a disk of that size, in a namespace of its own."""
    (tmp_path / "out").mkdir()
    mount = f'mount -t tmpfs -o size={kilobytes}k tmpfs "$1" && shift && "$@"; code=$?; ls -A "$0"; exit $code'
    disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(tmp_path / "out"), str(tmp_path / "out")]
    done = subprocess.run([*disk, *command(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert_one_line(done, "o space left")
    assert done.stdout.strip() == ""


def test_without_a_network_the_size_is_said_and_then_what_is_missing(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "UV_CACHE_DIR": str(tmp_path / "cache"), "UV_OFFLINE": "1"}
    uv = shutil.which("uv")
    assert uv is not None
    environment["PATH"] += f":{Path(uv).parent}"
    done = export(tmp_path, env=environment)
    assert_one_line(done, "could not be installed: no network, or none that reaches the packages. Run again with one.")
    assert re.search(r"First use: installing the LiteRT converter.* 2\.7 GB \(5\.1 GB on disk\)", done.stderr)
    assert done.stderr.index("First use") < done.stderr.index("error:")
    assert exported(tmp_path) == []
