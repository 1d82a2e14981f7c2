"""The files of deploy/gcp/, each with Google's type for it, filled for an imaginary project."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import proto
from deploy.gcp.messages import HERE, ROOT, read, variables
from google.cloud import aiplatform_v1, artifactregistry_v1, run_v2, scheduler_v1

KNOWN: Final = variables(
    {
        "PROJECT": "acme",
        "REGION": "europe-west1",
        "TAG": "abc1234",
        "DATA": "mine",
        "API_URL": "https://api.example.org",
    },
    {},
)
FILES: Final[dict[str, type[proto.Message]]] = {
    "registry.yaml": artifactregistry_v1.Repository,
    "run/api.yaml": run_v2.Service,
    "run/frontend.yaml": run_v2.Service,
    "run/log-migrate.yaml": run_v2.Job,
    "run/drift.yaml": run_v2.Job,
    "schedule.yaml": scheduler_v1.Job,
    "vertex/train-cpu.yaml": aiplatform_v1.CustomJob,
    "vertex/train-gpu.yaml": aiplatform_v1.CustomJob,
    "vertex/train-nodes.yaml": aiplatform_v1.CustomJob,
}
SERVICES: Final = [name for name, kind in FILES.items() if kind is run_v2.Service]
JOBS: Final = [name for name, kind in FILES.items() if kind is run_v2.Job]
TRAININGS: Final = [name for name in FILES if name.startswith("vertex/")]


def message(name: str) -> Any:
    """A file of deploy/gcp/ as a message."""
    return read(HERE / name, FILES[name], KNOWN)


def task(name: str) -> Any:
    """What a Cloud Run service or job says about its one container, its account and its volumes."""
    found = message(name)
    return found.template if FILES[name] is run_v2.Service else found.template.template


def images(text: str) -> set[str]:
    """The project's images that a text names."""
    return set(re.findall(r"\bmlopsproject-(\w+):", text))


def dockerfiles() -> set[str]:
    """The images that can be built; that of the Lambda function is not for this cloud."""
    return {path.stem for path in (ROOT / "dockerfiles").glob("*.dockerfile")} - {"lambda"}


def shipped_texts() -> Iterator[tuple[str, str]]:
    """Every file for the cloud, as it is in the repository."""
    for path in [ROOT / "cloudbuild.yaml", *sorted((ROOT / "deploy").rglob("*"))]:
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(ROOT).as_posix(), Path(path).read_text(encoding="utf-8")
