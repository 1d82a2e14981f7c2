"""Every job of the project: `uv run invoke --list`, and `uv run invoke --help TASK` for one.

Jobs take config overrides: `uv run invoke train -o epochs=5 -o model=reference`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from invoke import Context, Exit, task

if hasattr(signal, "SIGPIPE") and Path(sys.argv[0]).name in ("invoke", "inv"):
    # End quietly, as other programs do, when nobody reads the output any more: `… | head`. Not where it is imported.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

OVERRIDES = {"override": "a config override, key=value; repeat for more. Its keys: uv run mlopsproject TASK --help"}
PYTHON = shlex.quote(sys.executable)
AIRFLOW = "orchestration/airflow"
#: One Dockerfile each.
IMAGES = ("api", "frontend", "evaluate", "drift", "train", "lambda")


def _run(c: Context, command: str) -> None:
    """Run a command on this terminal; its exit code is ours."""
    result = c.run(
        command, pty=sys.stdout.isatty(), warn=True, echo=False, in_stream=None if sys.stdin.isatty() else False
    )
    # Not `if result`: one of a command that failed is false.
    if result is None or result.exited:
        raise Exit(code=1 if result is None else result.exited)


def _serve(c: Context, name: str, **settings: object) -> None:
    """Run `python -m mlopsproject.<name>`; settings that were given go before those of the environment."""
    os.environ.update({key: str(value) for key, value in settings.items() if value is not None})
    _run(c, f"{PYTHON} -m mlopsproject.{name}")


def _job(c: Context, name: str, override: list[str]) -> None:
    """Run `python -m mlopsproject.<name>` with config overrides."""
    _run(c, shlex.join([sys.executable, "-m", f"mlopsproject.{name}", *override]))


def _images(given: str) -> Sequence[str]:
    """Names of images, separated by commas, or all."""
    names = IMAGES if given == "all" else given.split(",")
    if unknown := set(names) - set(IMAGES):
        raise Exit(f"error: no image {', '.join(sorted(unknown))}; one of: {', '.join(IMAGES)}.", code=1)
    return names


def _pull(c: Context, folder: str) -> None:
    """Fetch a DVC-tracked folder if it is not here."""
    if Path(folder).is_dir():
        return
    print(f"{folder}/ is not here: pulling the synthetic sample faces with DVC", flush=True)
    _run(c, f"{PYTHON} -m dvc pull --quiet {folder}.dvc")


@task(iterable=["override"], help=OVERRIDES)
def train(c, override):
    """Train a network and ship it as a bundle, with test metrics (sample data unless data.name= says otherwise)."""
    if not any(text.startswith("data.name=") for text in override) or "data.name=train_data" in override:
        _pull(c, "train_data")
    _job(c, "train", override)


@task(iterable=["override"], help=OVERRIDES)
def evaluate(c, override):
    """Score a bundle on a data set: metrics, plots and an HTML report (bundle=, data.name=, split=)."""
    _job(c, "evaluate", override)


@task(iterable=["override"], help=OVERRIDES)
def compare(c, override):
    """Measure bundles side by side into a table of results and a plot (bundles=[a,b], data.name=)."""
    _job(c, "compare", override)


@task(iterable=["override"], help=OVERRIDES)
def drift(c, override):
    """Compare current faces with a bundle's reference (bundle=, current= a folder, dataset:NAME or log)."""
    current = next((text.removeprefix("current=") for text in override if text.startswith("current=")), "drift_data")
    if current.removeprefix("dataset:").rstrip("/") in ("train_data", "drift_data"):
        _pull(c, current.removeprefix("dataset:").rstrip("/"))
    _job(c, "drift", override)


@task(iterable=["override"], help=OVERRIDES)
def retrain(c, override):
    """Train on new labelled data if there is drift or decay, and promote the candidate if it is better (new_data=)."""
    if not any(text.startswith("data.name=") for text in override) or "data.name=train_data" in override:
        _pull(c, "train_data")
    if "new_data=drift_data" in override:
        _pull(c, "drift_data")
    _job(c, "retrain", override)


@task(iterable=["override"], help=OVERRIDES)
def rollback(c, override):
    """Move an alias back to the bundle it held before (alias=production, to=)."""
    _job(c, "rollback", override)


@task(iterable=["override"], help=OVERRIDES)
def export(c, override):
    """Make a bundle from a checkpoint of an earlier run (checkpoint=), or files for phones of one (format=litert)."""
    other = any(text.startswith("litert.data=") for text in override) and "litert.data=train_data" not in override
    if "format=litert" in override and not other:
        _pull(c, "train_data")
    _job(c, "export", override)


@task(iterable=["override"], help=OVERRIDES)
def predict(c, override):
    """Score pictures to CSV or Parquet (input= a file, folder, list or URL; bundle=, output=)."""
    _job(c, "predict", override)


@task(iterable=["override"], help=OVERRIDES)
def import_data(c, override):
    """Import faces as a data set (source= a folder, archive, FER2013 CSV or kaggle:owner/slug; name=)."""
    _job(c, "import_data", override)


@task(iterable=["override"], help=OVERRIDES)
def data_report(c, override):
    """Write a data set's HTML report: balance, samples, duplicates, leakage, suspect images (name=)."""
    _job(c, "data_report", override)


@task(iterable=["override"], help=OVERRIDES)
def preprocess(c, override):
    """Bring a data set to a network's input, as a training does first (data.name=, data.size=)."""
    if not any(text.startswith("data.name=") for text in override) or "data.name=train_data" in override:
        _pull(c, "train_data")
    _job(c, "preprocess", override)


@task(iterable=["override"], help=OVERRIDES)
def promote(c, override):
    """Test a bundle and point an alias at it (bundle=, alias=production, data.name= for a gate)."""
    _job(c, "promote", override)


@task(iterable=["override"], help=OVERRIDES)
def benchmark(c, override):
    """Measure speed, size, parity or power (what=train, import, serving, drift …); fails if a bar is missed."""
    what = next((text.removeprefix("what=") for text in override if text.startswith("what=")), "train")
    if what == "train" and not any("data.name=" in text for text in override):
        _pull(c, "train_data")
    _job(c, "benchmark", override)


@task(
    help={
        "port": "to listen on (PORT, 8000)",
        "workers": "processes (WORKERS, 1)",
        "model": "which (MODEL_URI, production)",
    }
)
def api(c, port=None, workers=None, model=None):
    """Serve a model over HTTP; settings come from the environment or .env, see .env.example."""
    _serve(c, "api", PORT=port, WORKERS=workers, MODEL_URI=model)


@task(
    help={
        "port": "to listen on (FRONTEND_PORT, 8501)",
        "backend": "address of the API (BACKEND, http://localhost:8000)",
    }
)
def frontend(c, port=None, backend=None):
    """Serve the page where people upload faces; it needs an API (`invoke api`)."""
    _serve(c, "frontend", FRONTEND_PORT=port, BACKEND=backend)


@task
def log_migrate(c):
    """Bring the prediction log's database to this version's tables (DATABASE_URL)."""
    _serve(c, "log_migrate")


@task(iterable=["override"], help=OVERRIDES)
def log_export(c, override):
    """Write the prediction log to CSV or Parquet (output=, since=, until=)."""
    _job(c, "log_export", override)


@task(iterable=["override"], help=OVERRIDES)
def log_prune(c, override):
    """Delete old rows of the prediction log (keep_days=, dry_run=)."""
    _job(c, "log_prune", override)


@task(iterable=["override"], help=OVERRIDES)
def load_test(c, override):
    """Send good and bad pictures to an API, print its figures and compare what it answered with its log (host=)."""
    _job(c, "load_test", override)


@task(
    help={
        "out": "folder to write; must not exist or be empty",
        "images": "how many pictures",
        "seed": "of the generator",
        "drift": "render the drifted variant (darker, blurred, another camera)",
    }
)
def sample_data(c, out, images=2600, seed=0, drift=False):
    """Render synthetic sample faces into a folder."""
    command = [sys.executable, "-m", "mlopsproject.data.synthetic", out, "--images", str(images), "--seed", str(seed)]
    _run(c, shlex.join([*command, *(["--drift"] if drift else [])]))


@task(
    help={
        "slow": "run the slow tests instead: real training, servers, a browser, large data",
        "containers": "run the container tests instead: build and start every image (CONTAINER_BUILD, CONTAINER_RUN)",
        "coverage": "measure coverage of src/ and fail under 90 %",
        "args": "more arguments for pytest, in quotes",
    }
)
def test(c, slow=False, containers=False, coverage=True, args=""):
    """Run lint, types, import contracts and the fast tests with coverage."""
    _pull(c, "train_data")
    _pull(c, "drift_data")
    if slow or containers:
        chosen = " or ".join(name for name, given in (("slow", slow), ("container", containers)) if given)
        _run(c, f"{PYTHON} -m pytest -m {shlex.quote(chosen)} {args}")
        return
    lint(c)
    cover = "--cov --cov-report=term:skip-covered --cov-fail-under=90" if coverage else ""
    _run(c, f"{PYTHON} -m pytest -n 2 --dist loadfile {cover} {args}")


@task(help={"fix": "mend what can be mended"})
def lint(c, fix=False):
    """Check format, lint, types, the import contracts, and the files for containers, clouds and GitHub."""
    _run(c, f"{PYTHON} -m ruff format {'' if fix else '--check'} .")
    _run(c, f"{PYTHON} -m ruff check {'--fix' if fix else ''} .")
    _run(c, f"{PYTHON} -m mypy")
    _run(c, "lint-imports")
    _run(c, "bash .github/scripts/lint_files.sh")


@task(
    help={
        "images": f"which, separated by commas: {', '.join(IMAGES)}; or all; train is large (all)",
        "tag": "of the images mlopsproject-NAME",
    }
)
def docker_build(c, images="all", tag="latest"):
    """Build container images, with `docker build` or with CONTAINER_BUILD, called with DOCKERFILE CONTEXT TAG."""
    builder = os.environ.get("CONTAINER_BUILD")
    for name in _images(images):
        dockerfile, image = f"dockerfiles/{name}.dockerfile", f"mlopsproject-{name}:{tag}"
        if builder:
            _run(c, f"{builder} {shlex.join([dockerfile, '.', image])}")
        else:
            _run(c, shlex.join(["docker", "build", "--file", dockerfile, "--tag", image, "."]))


@task(
    help={
        "only": "steps, separated by commas; see docs/google-cloud.md (all but trainings)",
        "project": "id of the Google Cloud project (PROJECT)",
        "region": "such as europe-west1 (REGION)",
        "tag": "of the images (TAG)",
        "dry_run": "print every command and request, and do none",
    }
)
def deploy(c, only="", project="", region="", tag="", dry_run=False):
    """Bring the service to Google Cloud, see docs/google-cloud.md."""
    given = {"only": only, "project": project, "region": region, "tag": tag}
    flags = [f"--{name}={value}" for name, value in given.items() if value]
    _run(c, shlex.join([sys.executable, "-m", "deploy.gcp.deploy", *flags, *(["--dry-run"] if dry_run else [])]))


@task(help={"images": f"which, separated by commas: {', '.join(IMAGES)}; or all"})
def sbom(c, images="all"):
    """Write bills of materials (CycloneDX) of what the images install into dist/sbom-NAME.cdx.json."""
    Path("dist").mkdir(exist_ok=True)
    for name in _images(images):
        extras = re.findall(r"--extra (\S+)", Path(f"dockerfiles/{name}.dockerfile").read_text(encoding="utf-8"))
        place = f"dist/sbom-{name}.cdx.json"
        command = ["uv", "export", "--quiet", "--locked", "--no-dev", "--preview-features", "sbom-export"]
        command += ["--format", "cyclonedx1.5", "--output-file", place, *(f"--extra={extra}" for extra in extras)]
        c.run(shlex.join(command), hide="out")
        print(place)


@task
def audit(c):
    """Look every locked package up in the OSV database of vulnerabilities; needs the internet."""
    done = c.run("uv audit --locked --preview-features audit-command", warn=True)
    if done.exited == 2:
        raise Exit("error: nothing was checked: the database of vulnerabilities was not reached, see above.", code=2)
    if done.exited:
        raise Exit("error: a locked package has a known vulnerability, see above.", code=done.exited)


@task
def clean(c):
    """Delete caches and build leftovers; data, runs and bundles stay."""
    for pattern in (
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".import_linter_cache",
        ".hypothesis",
        "dist",
        "site",
    ):
        shutil.rmtree(pattern, ignore_errors=True)


@task
def build_docs(c):
    """Build the documentation site into site/, failing on a broken link."""
    _run(c, f"{PYTHON} -m mkdocs build --strict")


@task(help={"port": "of the preview"})
def serve_docs(c, port=8080):
    """Serve the documentation with live reload."""
    _run(c, f"{PYTHON} -m mkdocs serve --dev-addr localhost:{port}")


@task(
    help={"bundle": "alias, name or folder (production)", "out": "the folder, made anew (dist/web)"},
)
def web_page(c, bundle="production", out="dist/web"):
    """Assemble a page that answers in the browser and sends nothing anywhere; needs npm."""
    _run(c, shlex.join([sys.executable, "examples/web/build.py", "--bundle", bundle, "--out", out]))


@task(help={"port": "of the page and the API (8080)"})
def airflow_up(c, port=8080):
    """Run Airflow with the project's pipelines on this machine, in one process tree; see docs/airflow.md."""
    _pull(c, "train_data")
    os.environ.pop("VIRTUAL_ENV", None)  # Airflow has an environment of its own
    os.environ.setdefault("MLOPSPROJECT_PYTHON", sys.executable)
    _run(c, f"uv run --locked --project {AIRFLOW} python {AIRFLOW}/standalone.py --port {port}")


@task(iterable=["picture"], help={"picture": "name of one, such as frontend; repeat for more; all by default"})
def docs_images(c, picture):
    """Make the documentation's pictures of the product at work, on synthetic faces; needs Chromium."""
    _pull(c, "train_data")
    _pull(c, "drift_data")
    _run(c, shlex.join([sys.executable, "docs/pictures/make.py", *picture]))
