"""Benchmark of bundles against other packages for facial expressions, on the same faces and one CPU core."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlopsproject.core.checks import check_choice, check_number, check_whole
from mlopsproject.core.classes import FIVE, SEVEN, canonical_class
from mlopsproject.core.errors import ConfigError, DataError
from mlopsproject.core.machine import cpu_name
from mlopsproject.core.preprocess import decode_image
from mlopsproject.core.resolve import resolve_bundle
from mlopsproject.data.dataset import label_codes
from mlopsproject.data.manifest import column, read_import, read_manifest
from mlopsproject.data.originals import read_originals
from mlopsproject.data.votes import LabelRule, votes_of
from mlopsproject.evaluation import peer_process
from mlopsproject.evaluation.metrics import classification_metrics

log = logging.getLogger(__name__)

#: Packages that can be measured.
PEERS: Final = tuple(name for name in peer_process.SIDES if name != "mlopsproject")
_SPLITS: Final = ("train", "validation", "test", "all")
_LONGEST: Final = 300  # characters of an error


@dataclass(frozen=True)
class Faces:
    """Labels of the benchmark's pictures, which show one face each.

    Attributes:
        labels: int64 `[N]`, index into `SEVEN`.
        trained: bool `[N]`, whether a twin (exact or near duplicate) is in the source's published training split.
    """

    labels: NDArray[np.int64]
    trained: NDArray[np.bool_]


def benchmark_peers(
    data: str,
    root: str,
    split: str,
    labels: str,
    bundles: Sequence[str],
    store: str,
    precision: str,
    sides: Sequence[str],
    rounds: int,
    timed: int,
    timeout: float,
    **packages: Mapping[str, Any],
) -> dict[str, Any]:
    """Measure every side on the same faces, in alternation, each in a process of its own on one core.

    Args:
        data: name of an imported data set.
        root: folder of the data sets.
        split: `train`, `validation`, `test` or `all`.
        labels: the truth: `given` or the raters' `majority`.
        bundles: names, aliases or folders.
        store: address of the store.
        precision: of the bundles.
        sides: some of `PEERS`.
        rounds: runs of each side; the best time counts, because other load on the machine only slows a side down.
        timed: number of pictures that are timed in each run.
        timeout: seconds that a run may take, installation included.
        packages: for each of `PEERS`, the requirements to install (`needs`), or the `python` of an environment.

    Returns:
        `machine`, `data`, `images`, how many of them have a twin in training, and the figures of each side; for a
        package that fails, `not measured` is the reason.

    Raises:
        UserError: for an invalid config value, or a missing data set or bundle.
    """
    check_choice("peers.labels", labels, ("given", "majority"))
    _check(split, precision, sides, rounds, timed, timeout)
    ours = [sys.executable]
    runs = {
        **{f"{bundle} {precision}": ("mlopsproject", ours, [_path(bundle, store), precision]) for bundle in bundles},
        **{side: (side, _python(packages[side]), []) for side in sides},
    }
    turns: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="benchmark-peers-") as scratch:
        faces = _save_faces(Path(root) / data, split, Path(scratch) / "faces.npz", labels)
        for number in range(rounds):
            options = {"timed": timed, "score": number == 0, "core": max(os.sched_getaffinity(0))}
            for name, (side, python, arguments) in runs.items():
                if "error" not in turns.get(name, {}):
                    found = _turn(side, python, Path(scratch), options | {"arguments": arguments}, timeout)
                    turns[name] = _best(turns.get(name), found)
    return {
        "machine": cpu_name(),
        "data": f"{data}, {split}",
        "truth": "what most raters said" if labels == "majority" else "the given labels",
        "images": len(faces.labels),
        "of them with a twin in the source's training part": int(faces.trained.sum()),
        **{_title(side, turn): _figures(turn, faces) for side, turn in turns.items()},
    }


def _check(split: str, precision: str, sides: Sequence[str], rounds: int, timed: int, timeout: float) -> None:
    check_choice("peers.split", split, _SPLITS)
    check_choice("peers.precision", precision, ("fp32", "int8"))
    for side in sides:
        check_choice("peers.sides", side, PEERS)
    check_whole("peers.rounds", rounds, lowest=1)
    check_whole("peers.timed", timed, lowest=1)
    check_number("peers.timeout", timeout, open_ends=True)


def _save_faces(folder: Path, split: str, file: Path, labels: str = "given") -> Faces:
    """Save the original pixels of a data set's pictures of the seven classes as `.npz`."""
    manifest, info = read_manifest(folder), read_import(folder)
    splits, groups = (column(manifest, name) for name in ("split", "group"))
    code, names = label_codes(folder.name, manifest, votes_of(manifest), LabelRule(labels))
    truth = np.array([SEVEN.index(name) if name in SEVEN else -1 for name in names], np.int64)[code]
    rows = np.flatnonzero((truth >= 0) & ((splits == split) if split != "all" else True))
    if not len(rows):
        raise DataError(f"peers.split={split}: {folder} has no such pictures of {', '.join(SEVEN)}.", "Give `all`.")
    paths = column(manifest, "path")[rows].tolist()
    originals = read_originals(info, paths)
    pictures = {str(number): np.asarray(decode_image(originals[path])) for number, path in enumerate(paths)}
    np.savez(file, **pictures)  # type: ignore[arg-type]  # its flag `allow_pickle` is no picture
    others = np.flatnonzero(column(manifest, "source_split") == "train")
    trained = np.isin(groups[rows], groups[np.setdiff1d(others, rows)])
    return Faces(truth[rows], trained)


def _path(bundle: str, store: str) -> str:
    return str(resolve_bundle(bundle, store).path.resolve())


def _python(package: Mapping[str, Any]) -> list[str]:
    """Command line of the Python of a package's environment."""
    if package["python"]:
        return [str(Path(package["python"]).expanduser().absolute())]
    uv = shutil.which("uv")
    if uv is None:
        raise ConfigError("`uv` is not on the PATH, which makes an environment for each package.", "Install it.")
    # `peer_process.installed` needs `packaging`.
    needs = [word for need in (*package["needs"], "packaging") for word in ("--with", need)]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [uv, "run", "--isolated", "--no-project", "--no-config", "--quiet", "--python", version, *needs, "python"]


def _turn(
    side: str, python: Sequence[str], scratch: Path, options: Mapping[str, Any], timeout: float
) -> dict[str, Any]:
    """Run one side once; a failure is returned as `error`."""
    answers = scratch / "answers.json"
    answers.unlink(missing_ok=True)
    script = [peer_process.__file__, side, str(scratch / "faces.npz"), str(answers), json.dumps(options)]
    try:
        # -I: neither this folder nor PYTHONPATH may shadow modules of the package.
        code, said = _run([*python, "-I", *script], scratch, timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {timeout:g} s"}
    except OSError as error:
        return {"error": f"{python[0]} cannot be run ({error.strerror})"}
    if not answers.is_file():
        return {"error": f"exit code {code}: {' '.join(said.split())[-_LONGEST:]}"}
    found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    if "error" in found:
        found["error"] = found["error"].partition("\n")[0][:_LONGEST]
    log.info("%s: %s", side, found.get("error") or f"{found['ms']:.2f} ms per face")
    return found


def _run(command: Sequence[str], folder: Path, timeout: float) -> tuple[int, str]:
    """Run a program; return its exit code and its stderr."""
    with subprocess.Popen(  # noqa: S603  # a script of our own
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said = process.communicate(timeout=timeout)[1]
            return process.returncode, said
        finally:
            # Also ends child processes that are left.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _best(earlier: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    if earlier is None or "error" in found:
        return found
    return earlier | {key: min(earlier[key], found[key]) for key in ("ms", "import_s", "ready_s", "memory_mb")}


def _title(side: str, turn: Mapping[str, Any]) -> str:
    return f"{side} {turn['version']}" if side in PEERS and "version" in turn else side


def _figures(turn: Mapping[str, Any], faces: Faces) -> dict[str, Any]:
    start = {"import, s": turn.get("import_s"), "import to first answer, s": turn.get("ready_s")}
    size = {"packages": turn.get("packages"), "on disk, MB": _rounded(turn.get("megabytes"))}
    if "error" in turn:
        known = {name: value for name, value in (start | size).items() if value is not None}
        return {"not measured": turn["error"], **known}
    return {
        **_accuracy(turn, faces, SEVEN, "seven classes"),
        **_accuracy(turn, faces, FIVE, "five classes"),
        "one face, one core, ms": turn["ms"],
        **start,
        "memory, MB": _rounded(turn["memory_mb"]),
        **size,
    }


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _accuracy(turn: Mapping[str, Any], faces: Faces, classes: Sequence[str], title: str) -> dict[str, float | None]:
    """Metrics on the pictures of some classes, other classes masked; empty for a side that lacks one of them."""
    known = [canonical_class(name) for name in turn["classes"]]
    if not set(classes) <= set(known):
        return {}
    wanted = [SEVEN.index(name) for name in classes]
    rows = np.isin(faces.labels, wanted)
    labels = np.array([wanted.index(label) for label in faces.labels[rows]], np.int64)
    scores = np.array(turn["probabilities"], np.float64)[rows][:, [known.index(name) for name in classes]]
    # Rounded probabilities of these classes may all be 0.
    scores = np.maximum(scores, 1e-6)
    scores /= scores.sum(axis=1, keepdims=True)
    found = classification_metrics(labels, scores, classes)
    low, high = found["intervals_95"]["accuracy"]
    unseen = (scores.argmax(axis=1) == labels)[~faces.trained[rows]]
    return {
        f"accuracy, {title}, %": 100 * found["accuracy"],
        f"{title}, 95 % interval from": 100 * low,
        f"{title}, to": 100 * high,
        f"{title}, without twins, %": 100 * float(unseen.mean()) if len(unseen) else None,
    }
