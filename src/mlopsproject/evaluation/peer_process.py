"""Measures one package ("side") of the benchmark of peers: `python peer_process.py SIDE FACES ANSWERS OPTIONS`.

The script runs in an environment with that package and without this project, so that it imports nothing of the project
except for the side `mlopsproject`. No side detects faces: each picture is one face.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import resource
import statistics
import sys
import time
import urllib.request  # noqa: F401  # hsemotion-onnx uses it without importing it
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# Set to 1: these libraries start a thread for every core, including those that they may not use.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
WARM_UP = 20

#: Takes RGB pixels, uint8 `[H, W, 3]`; returns the probability of each class.
Answer = Callable[[Any], Any]


def fer() -> tuple[list[str], Answer]:
    """FER: its default network (TensorFlow Lite), on the whole picture without detection or margin."""
    detector = import_module("fer.fer").FER(offsets=(0, 0))
    classes = list(detector._get_labels().values())

    def answer(pixels: Any) -> Any:
        height, width = pixels.shape[:2]
        found = detector.detect_emotions(_bgr(pixels), face_rectangles=[(0, 0, width, height)])
        return [found[0]["emotions"][name] for name in classes]

    return classes, answer


def deepface() -> tuple[list[str], Answer]:
    """DeepFace: `analyze` of the emotion only, without a face detector."""
    analyze = import_module("deepface.DeepFace").analyze
    classes = list(import_module("deepface.models.demography.DemographyUtils").EMOTION_LABELS)

    def answer(pixels: Any) -> Any:
        (found,) = analyze(
            _bgr(pixels), actions=["emotion"], detector_backend="skip", enforce_detection=False, silent=True
        )
        return [found["emotion"][name] for name in classes]

    return classes, answer


def emotiefflib() -> tuple[list[str], Answer]:
    """EmotiEffLib: its default network, EfficientNet-B0, in ONNX Runtime."""
    recognizer = import_module("emotiefflib.facial_analysis").EmotiEffLibRecognizer(engine="onnx", device="cpu")
    classes = list(recognizer.idx_to_emotion_class.values())
    return classes, lambda pixels: recognizer.predict_emotions(pixels, logits=False)[1][0]


def hsemotion_onnx() -> tuple[list[str], Answer]:
    """HSEmotion: its default network, EfficientNet-B0, in ONNX Runtime."""
    recognizer = import_module("hsemotion_onnx.facial_emotions").HSEmotionRecognizer()
    classes = list(recognizer.idx_to_class.values())
    return classes, lambda pixels: recognizer.predict_emotions(pixels, logits=False)[1]


def rmn() -> tuple[list[str], Answer]:
    """The Residual Masking Network, on gray pixels as in its own pipeline."""
    package = import_module("rmn")
    network = package.RMN(face_detector=False)
    classes = list(package.FER_2013_EMO_DICT.values())

    def answer(pixels: Any) -> Any:
        found = network.detect_emotion_for_single_face_image(package.ensure_gray(_bgr(pixels)))[2]
        return [probability for each in found for probability in each.values()]

    return classes, answer


def py_feat() -> tuple[list[str], Answer]:
    """Py-Feat: the network of `Detectorv2`, which also computes action units, gaze, pose and mesh."""
    torch = import_module("torch")
    network = import_module("feat.multitask.inference").MultitaskModel(device="cpu")

    def answer(pixels: Any) -> Any:
        return network(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255).emotion[0]

    return list(network.emotion_names), answer


def mlopsproject(bundle: str, precision: str) -> tuple[list[str], Answer]:
    """A bundle of this project, by the Predictor."""
    predictor = import_module("mlopsproject.core.predictor").Predictor.load(bundle, precision)
    return list(predictor.spec.classes), lambda pixels: list(predictor.predict(pixels)[0].probabilities.values())


#: Side → name on the package index, module to import, and function that returns the classes and an `Answer`.
SIDES: dict[str, tuple[str, str, Callable[..., tuple[list[str], Answer]]]] = {
    "mlopsproject": ("mlopsproject", "mlopsproject.core.predictor", mlopsproject),
    "fer": ("fer", "fer.fer", fer),
    "deepface": ("deepface", "deepface.DeepFace", deepface),
    "emotiefflib": ("emotiefflib", "emotiefflib.facial_analysis", emotiefflib),
    "hsemotion_onnx": ("hsemotion-onnx", "hsemotion_onnx.facial_emotions", hsemotion_onnx),
    "rmn": ("rmn", "rmn", rmn),
    "py_feat": ("py-feat", "feat", py_feat),
}


def measure(side: str, faces: str, options: dict[str, Any]) -> dict[str, Any]:
    """Measure installed size, start-up time, predictions, latency and memory of one side.

    Args:
        side: one of `SIDES`.
        faces: an `.npz` of pictures, uint8 `[H, W]` or `[H, W, 3]`.
        options: number of pictures that are `timed`, whether all are scored (`score`), index of the CPU `core` to
            use, and `arguments` of the side's function.

    Returns:
        `version`, `packages`, `megabytes`, `memory_mb`; `import_s`, `ready_s` (import to first prediction, seconds),
        `classes`, `probabilities` and `ms` (median per picture), as far as the package got; `error` if it failed.
    """
    os.sched_setaffinity(0, {options["core"]})
    package, module, prepare = SIDES[side]
    found: dict[str, Any] = {"version": importlib.metadata.version(package), **installed(package)}
    start = time.perf_counter()
    try:
        import_module(module)
        found["import_s"] = time.perf_counter() - start
        classes, answer = prepare(*options["arguments"])
        answer(_blank())
        found["ready_s"] = time.perf_counter() - start
        found |= {"classes": classes, **_answers(answer, faces, options["timed"], options["score"])}
    except Exception as error:  # a package's failure is part of the result
        found["error"] = f"{type(error).__name__}: {error}"
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def installed(package: str) -> dict[str, float]:
    """Number of packages (`packages`) that one requires, itself included, and their size on disk (`megabytes`)."""
    requirement = import_module("packaging.requirements").Requirement
    names: dict[str, set[str]] = {}
    waiting = [requirement(package)]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        extras = {"", *wanted.extras} - names.get(name, set())
        names[name] = names.get(name, set()) | extras
        needs = map(requirement, importlib.metadata.requires(name) or [] if extras else [])
        waiting += [need for need in needs if _applies(need.marker, extras)]
    found = {file.locate() for name in names for file in importlib.metadata.files(name) or []}
    sizes = [path.stat().st_size for path in map(Path, map(str, found)) if path.is_file()]
    return {"packages": len(names), "megabytes": sum(sizes) / 1e6}


def _applies(marker: Any, extras: set[str]) -> bool:
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)


def _answers(answer: Answer, faces: str, timed: int, score: bool) -> dict[str, Any]:
    with import_module("numpy").load(faces) as saved:
        pictures = [_rgb(saved[name]) for name in (saved.files if score else saved.files[:timed])]
    for pixels in pictures[:WARM_UP]:
        answer(pixels)
    times = []
    for pixels in pictures[:timed]:
        start = time.perf_counter()
        answer(pixels)
        times.append(1000 * (time.perf_counter() - start))
    scored = [[float(value) for value in answer(pixels)] for pixels in pictures] if score else []
    return {"ms": statistics.median(times), "probabilities": scored}


def _rgb(pixels: Any) -> Any:
    numpy = import_module("numpy")
    return numpy.ascontiguousarray(numpy.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels)


def _bgr(pixels: Any) -> Any:
    return import_module("numpy").ascontiguousarray(pixels[..., ::-1])


def _blank() -> Any:
    return import_module("numpy").full((48, 48, 3), 128, "uint8")


def main() -> None:
    """Run as a script."""
    side, faces, answers, options = sys.argv[1:]
    os.environ |= dict.fromkeys(THREADS, "1") | {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    Path(answers).write_text(json.dumps(measure(side, faces, json.loads(options))), encoding="utf-8")


if __name__ == "__main__":
    main()
