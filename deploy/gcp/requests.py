"""Requests to Google's services: shown as they will be sent, and sent by Google's own clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import proto
from deploy.gcp.messages import as_yaml
from google.api_core.exceptions import NotFound
from google.cloud import aiplatform_v1, artifactregistry_v1, run_v2, scheduler_v1
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict

from mlopsproject.core.errors import UserError

#: Seconds for Google to carry out a request, such as to start a revision and probe it.
_PATIENCE: Final = 900
#: Of a message: where it is, and not what it is.
_ADDRESS: Final = "name"


@dataclass(frozen=True)
class Request:
    """One request to a service of Google's.

    Attributes:
        lines: what is sent where, one line each: method and address.
        send: does it, and waits until it is carried out.
        body: what is sent, if anything.
        sets: the variable that takes what `send` gives.
    """

    lines: tuple[str, ...]
    send: Callable[[], str | None]
    body: proto.Message | None = None
    sets: str | None = None

    def shown(self) -> str:
        """The request as text: its lines, and its body as YAML."""
        prefix = f"{self.sets} is `uri` of: " if self.sets else ""
        body = "" if self.body is None else as_yaml(self.body)
        return "\n".join([prefix + "\n".join(self.lines), *(f"  {line}" for line in body.splitlines())])


def client(kind: type[Any], **options: Any) -> Any:
    """One of Google's clients, with the credentials of the environment."""
    return kind(transport="rest", client_options=options or None)


def put_service(service: run_v2.Service) -> Request:
    """Make a Cloud Run service, or a new revision of it."""

    def send() -> None:
        request = run_v2.UpdateServiceRequest(service=service, allow_missing=True)
        client(run_v2.ServicesClient).update_service(request=request).result(timeout=_PATIENCE)

    return Request((f"PATCH https://run.googleapis.com/v2/{service.name}?allowMissing=true",), send, service)


def put_job(job: run_v2.Job) -> Request:
    """Make or change a Cloud Run job."""

    def send() -> None:
        request = run_v2.UpdateJobRequest(job=job, allow_missing=True)
        client(run_v2.JobsClient).update_job(request=request).result(timeout=_PATIENCE)

    return Request((f"PATCH https://run.googleapis.com/v2/{job.name}?allowMissing=true",), send, job)


def run_job(name: str) -> Request:
    """Run a Cloud Run job and wait for its end."""

    def send() -> None:
        execution = client(run_v2.JobsClient).run_job(name=name).result(timeout=_PATIENCE)
        if execution.succeeded_count != execution.task_count:
            raise UserError(f"The job {name} failed.", f"Its log: {execution.log_uri}")

    return Request((f"POST https://run.googleapis.com/v2/{name}:run",), send)


def address_of_service(name: str, variable: str) -> Request:
    """Ask for the address of a Cloud Run service.

    Args:
        name: of the service.
        variable: that takes the address.
    """

    def send() -> str:
        return str(client(run_v2.ServicesClient).get_service(name=name).uri)

    return Request((f"GET https://run.googleapis.com/v2/{name}",), send, sets=variable)


def put_schedule(job: scheduler_v1.Job) -> Request:
    """Make or change a Cloud Scheduler job."""
    parent, mask = _parent(job.name), _mask(job)

    def send() -> None:
        scheduler = client(scheduler_v1.CloudSchedulerClient)
        try:
            scheduler.update_job(job=job, update_mask=mask)
        except NotFound:
            scheduler.create_job(parent=parent, job=job)

    base = "https://cloudscheduler.googleapis.com/v1"
    change = f"PATCH {base}/{job.name}?updateMask={mask.ToJsonString()}"
    return Request((change, f"POST {base}/{parent}/jobs  # if there is none"), send, job)


def put_repository(repository: artifactregistry_v1.Repository) -> Request:
    """Make or change an Artifact Registry repository."""
    parent, mask = _parent(repository.name), _mask(repository, "format_")
    name = repository.name.rpartition("/")[2]

    def send() -> None:
        registry = client(artifactregistry_v1.ArtifactRegistryClient)
        try:
            registry.update_repository(repository=repository, update_mask=mask)
        except NotFound:
            creation = registry.create_repository(parent=parent, repository=repository, repository_id=name)
            creation.result(timeout=_PATIENCE)

    base = "https://artifactregistry.googleapis.com/v1"
    change = f"PATCH {base}/{repository.name}?updateMask={mask.ToJsonString()}"
    creation = f"POST {base}/{parent}/repositories?repositoryId={name}  # if there is none"
    return Request((change, creation), send, repository)


def start_training(job: aiplatform_v1.CustomJob, project: str, region: str) -> Request:
    """Start a training on Vertex AI; it goes on by itself."""
    parent, host = f"projects/{project}/locations/{region}", f"{region}-aiplatform.googleapis.com"

    def send() -> None:
        client(aiplatform_v1.JobServiceClient, api_endpoint=host).create_custom_job(parent=parent, custom_job=job)

    return Request((f"POST https://{host}/v1/{parent}/customJobs",), send, job)


def _parent(name: str) -> str:
    return "/".join(name.split("/")[:-2])


def _mask(message: proto.Message, *fixed: str) -> FieldMask:
    """The fields that a message sets, apart from its address and those that cannot be changed."""
    fields = MessageToDict(type(message).pb(message), preserving_proto_field_name=True)
    return FieldMask(paths=sorted(fields.keys() - {_ADDRESS, *fixed}))
