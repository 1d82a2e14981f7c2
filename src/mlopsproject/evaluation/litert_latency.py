"""Latency and size of a bundle's ONNX files beside its LiteRT files, one picture on one CPU core."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from mlopsproject.core.bundle import Bundle
from mlopsproject.core.checks import check_whole
from mlopsproject.core.commands import job_command
from mlopsproject.core.errors import DataError, UserError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.predictor import Predictor
from mlopsproject.core.preprocess import normalise
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.core.spec import InputSpec
from mlopsproject.evaluation.calibration import softmax
from mlopsproject.evaluation.latency import Answer, answer_of, measure_answers

#: What describes the LiteRT files of a folder.
DOCUMENT: Final = "litert.json"


def latency_of_litert(bundle: str, store: str, folder: str, rounds: int) -> dict[str, Any]:
    """Measure each precision of a bundle and of its LiteRT files, in turns.

    Args:
        bundle: name, alias or folder.
        store: address of the store.
        folder: that holds a folder of the bundle's name with its LiteRT files.
        rounds: turns of 50 pictures for each; the best counts.

    Returns:
        `machine`, `bundle`, and as `matrix` the size in MB and milliseconds per picture of each file.

    Raises:
        UserError: a missing or damaged bundle, no LiteRT files of it, or without LiteRT's runtime.
    """
    check_whole("litert.rounds", rounds, lowest=1)
    if find_spec("ai_edge_litert") is None:
        raise UserError("LiteRT's runtime ai-edge-litert is not installed.", "Run: uv sync --extra edge")
    opened = resolve_bundle(bundle, store)
    sides = {**_onnx(opened), **_litert(Path(folder) / opened.name, opened.spec.input)}
    answers = [answer for _, answer in sides.values()]
    times = measure_answers(answers, [opened.spec.input] * len(sides), rounds=rounds)
    return {
        "machine": cpu_name(),
        "bundle": opened.name,
        "matrix": {
            name: {"MB": file.stat().st_size / 1e6, "ms": round(time, 3)}
            for (name, (file, _)), time in zip(sides.items(), times, strict=True)
        },
    }


def _onnx(bundle: Bundle) -> dict[str, tuple[Path, Answer]]:
    return {
        f"ONNX Runtime, {name}": (bundle.model_file(name), answer_of(Predictor(bundle, name)))
        for name in bundle.spec.precisions
    }


def _litert(folder: Path, spec: InputSpec) -> dict[str, tuple[Path, Answer]]:
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        again = job_command("export", "format=litert", f"litert.bundle={folder.name}")
        raise DataError(f"{folder} holds no LiteRT files.", f"Make them: {again}") from None
    return {
        f"LiteRT, {name}": (folder / entry["file"], _answer(folder / entry["file"], spec, entry["temperature"]))
        for name, entry in document["precisions"].items()
    }


def _answer(file: Path, spec: InputSpec, temperature: float) -> Answer:
    from ai_edge_litert.interpreter import Interpreter  # an extra of its own

    run = Interpreter(str(file), num_threads=1).get_signature_runner()
    return lambda picture: softmax(run(image=normalise(picture, spec.mean, spec.std))["logits"], temperature)
