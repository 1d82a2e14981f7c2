"""The steps from an empty Google Cloud project to a running service, in their order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from deploy.gcp import requests
from deploy.gcp.messages import HERE, ROOT, fill, read
from deploy.gcp.requests import Request
from google.cloud import aiplatform_v1, artifactregistry_v1, run_v2, scheduler_v1

#: Of Google's, that a project has to turn on.
_SERVICES: Final = (
    "aiplatform",
    "artifactregistry",
    "cloudbuild",
    "cloudscheduler",
    "run",
    "secretmanager",
    "sqladmin",
)
_SECRETS: Final = ("mlopsproject-database-url", "mlopsproject-api-key")
_ACCOUNT: Final = "{}@${PROJECT}.iam.gserviceaccount.com"
#: The command that grants a role, by where it is granted.
_GRANTS: Final = {
    "project": "gcloud projects add-iam-policy-binding ${PROJECT} --condition=None",
    "bucket": "gcloud storage buckets add-iam-policy-binding gs://${BUCKET}",
    "repository": "gcloud artifacts repositories add-iam-policy-binding ${REPOSITORY} --location=${REGION}",
    "secret": "gcloud secrets add-iam-policy-binding {}",
    "account": f"gcloud iam service-accounts add-iam-policy-binding {_ACCOUNT}",
    "job": "gcloud run jobs add-iam-policy-binding {} --region=${REGION}",
}


@dataclass(frozen=True)
class Command:
    """A command of this machine.

    Attributes:
        words: the program and its arguments.
        unless: a command that succeeds where this one has nothing to do.
        hint: what to do if it fails.
    """

    words: tuple[str, ...]
    unless: tuple[str, ...] = ()
    hint: str = ""

    def shown(self) -> str:
        """The command as a shell takes it."""
        return " || ".join(shlex.join(words) for words in (self.unless, self.words) if words)


Variables = Mapping[str, str]
Action = Command | Request
Step = Callable[[Variables], Iterator[Action]]


def _words(known: Variables, text: str) -> tuple[str, ...]:
    """The words of a command with variables in them; gcloud's say for which project."""
    where = f"`{text}`"
    words = [fill(word, known, where) for word in shlex.split(text)]
    if words[:1] == ["gcloud"]:
        words.append(fill("--project=${PROJECT}", known, where))
    return tuple(words)


def _command(known: Variables, text: str, unless: str = "", hint: str = "") -> Command:
    return Command(_words(known, text), _words(known, unless), hint)


def read_accounts() -> dict[str, dict[str, Any]]:
    """Every service account, its `purpose` and its `roles`."""
    accounts: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "accounts.yaml").read_text(encoding="utf-8"))
    return accounts


def _grants(known: Variables, *kinds: str) -> Iterator[Command]:
    """Grant every role that is granted at things of these kinds."""
    for name, account in read_accounts().items():
        for grant in account["roles"]:
            kind, _, thing = grant["at"].partition(" ")
            if kind in kinds:
                member = f"--member=serviceAccount:{_ACCOUNT.replace('{}', name)}"
                yield _command(known, f"{_GRANTS[kind].replace('{}', thing)} {member} --role={grant['role']}")


def project(known: Variables) -> Iterator[Action]:
    """Turn on Google's services."""
    yield _command(known, f"gcloud services enable {' '.join(f'{name}.googleapis.com' for name in _SERVICES)}")


def accounts(known: Variables) -> Iterator[Action]:
    """Make the service accounts."""
    for name, account in read_accounts().items():
        yield _command(
            known,
            f"gcloud iam service-accounts create {name} --description={shlex.quote(account['purpose'])}",
            unless=f"gcloud iam service-accounts describe {_ACCOUNT.replace('{}', name)}",
        )


def registry(known: Variables) -> Iterator[Action]:
    """Make the repository of images."""
    yield requests.put_repository(read(HERE / "registry.yaml", artifactregistry_v1.Repository, known))


def bucket(known: Variables) -> Iterator[Action]:
    """Make the bucket of data, models and drift reports."""
    yield _command(
        known,
        "gcloud storage buckets create gs://${BUCKET} --location=${REGION} "
        "--uniform-bucket-level-access --public-access-prevention",
        unless="gcloud storage buckets describe gs://${BUCKET}",
    )
    file = (HERE / "bucket-lifecycle.json").relative_to(ROOT).as_posix()
    yield _command(known, f"gcloud storage buckets update gs://${{BUCKET}} --versioning --lifecycle-file={file}")


def database(known: Variables) -> Iterator[Action]:
    """Make the PostgreSQL of the prediction log."""
    yield _command(
        known,
        "gcloud sql instances create mlopsproject --region=${REGION} --database-version=POSTGRES_17 "
        "--edition=enterprise --tier=db-g1-small --ssl-mode=ENCRYPTED_ONLY --storage-auto-increase "
        "--backup-start-time=02:00 --deletion-protection",
        unless="gcloud sql instances describe mlopsproject",
    )
    yield _command(
        known,
        "gcloud sql databases create predictions --instance=mlopsproject",
        unless="gcloud sql databases describe predictions --instance=mlopsproject",
    )


def secrets(known: Variables) -> Iterator[Action]:
    """Make the secrets, and stop where one has no value yet."""
    for name in _SECRETS:
        yield _command(
            known,
            f"gcloud secrets create {name} --replication-policy=automatic",
            unless=f"gcloud secrets describe {name}",
        )
    hint = "Give it one as docs/google-cloud.md#secrets shows, then run the same command again."
    for name in _SECRETS:
        yield _command(known, f"gcloud secrets versions describe latest --secret={name}", hint=hint)


def roles(known: Variables) -> Iterator[Action]:
    """Let each account do what it has to."""
    yield from _grants(known, "project", "bucket", "repository", "secret", "account")


def images(known: Variables) -> Iterator[Action]:
    """Test, build and push the images with Cloud Build."""
    yield _command(
        known,
        "gcloud builds submit . --config=cloudbuild.yaml --region=${REGION} --ignore-file=deploy/gcp/gcloudignore "
        "--gcs-source-staging-dir=gs://${BUCKET}/source "
        "--substitutions=_REGION=${REGION},_REPOSITORY=${REPOSITORY},_BUCKET=${BUCKET},SHORT_SHA=${TAG}",
    )


def model(known: Variables) -> Iterator[Action]:
    """Put the model that ships into the bucket, unless a model answers from there already."""
    shipped = (ROOT / "models/aliases/production").read_text(encoding="utf-8").strip()
    yield _command(
        known,
        f"python -m mlopsproject.promote bundle=models/{shipped} alias=production store.uri=gs://${{BUCKET}}/models",
        unless="gcloud storage objects describe gs://${BUCKET}/models/aliases/production",
    )


def log_migrate(known: Variables) -> Iterator[Action]:
    """Bring the database to this version's tables."""
    job = read(HERE / "run/log-migrate.yaml", run_v2.Job, known)
    yield requests.put_job(job)
    yield requests.run_job(job.name)


def api(known: Variables) -> Iterator[Action]:
    """Roll out the API."""
    yield requests.put_service(read(HERE / "run/api.yaml", run_v2.Service, known))


def access(known: Variables) -> Iterator[Action]:
    """Let callers with the API key reach the API without a Google identity."""
    yield _command(
        known,
        "gcloud run services add-iam-policy-binding mlopsproject-api --region=${REGION} "
        "--member=allUsers --role=roles/run.invoker",
    )


def frontend(known: Variables) -> Iterator[Action]:
    """Roll out the page."""
    if "API_URL" not in known:
        name = fill("projects/${PROJECT}/locations/${REGION}/services/mlopsproject-api", known, "The step frontend")
        yield requests.address_of_service(name, "API_URL")
    yield requests.put_service(read(HERE / "run/frontend.yaml", run_v2.Service, known))


def drift(known: Variables) -> Iterator[Action]:
    """Make the drift job."""
    yield requests.put_job(read(HERE / "run/drift.yaml", run_v2.Job, known))


def schedule(known: Variables) -> Iterator[Action]:
    """Run the drift job every night."""
    yield from _grants(known, "job")
    yield requests.put_schedule(read(HERE / "schedule.yaml", scheduler_v1.Job, known))


def _training(machines: str) -> Step:
    def start(known: Variables) -> Iterator[Action]:
        job = read(HERE / f"vertex/train-{machines}.yaml", aiplatform_v1.CustomJob, known)
        yield requests.start_training(job, known["PROJECT"], known["REGION"])

    start.__doc__ = f"Start a training on Vertex AI as vertex/train-{machines}.yaml says."
    return start


#: What a deployment does, in this order.
STEPS: Final[dict[str, Step]] = {
    "project": project,
    "accounts": accounts,
    "registry": registry,
    "bucket": bucket,
    "database": database,
    "secrets": secrets,
    "roles": roles,
    "images": images,
    "model": model,
    "log-migrate": log_migrate,
    "api": api,
    "access": access,
    "frontend": frontend,
    "drift": drift,
    "schedule": schedule,
}
#: What is only done when it is asked for.
TRAININGS: Final[dict[str, Step]] = {f"train-{machines}": _training(machines) for machines in ("cpu", "gpu", "nodes")}
