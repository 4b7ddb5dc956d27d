"""What Dataflow is told besides a pipeline's own parameters, defined as all options are."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option

_JOB_NAME = "[a-z](?:[-a-z0-9]{0,1022}[a-z0-9])?"
_LABEL = "[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}"


def _at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError("is less than 1")


@dataclasses.dataclass(frozen=True)
class ServiceOptions:
    """Which Dataflow."""

    project: str = option(
        "Google Cloud project.",
        group="service",
        metavar="PROJECT",
        pattern=r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]",
    )
    region: str = option(
        "Region of the job.",
        group="service",
        metavar="REGION",
        pattern="[a-z]+(?:-[a-z]+)+[0-9]+",
        param_type="WORKER_REGION",
    )
    dataflow_endpoint: str | None = option(
        "Dataflow service, if not Google's: that of an emulator.",
        default=None,
        group="service",
        metavar="URL",
        pattern="https?://[^/ ]+/?",
    )


@dataclasses.dataclass(frozen=True)
class EnvironmentOptions:
    """In what a launched job runs."""

    temp_location: str | None = option(
        "Folder for temporary files. Default: a bucket that Dataflow makes.",
        default=None,
        group="environment",
        metavar="FOLDER",
        pattern="gs://[^/]+(?:/.*)?",
        param_type="GCS_WRITE_FOLDER",
    )
    staging_location: str | None = option(
        "Folder for what is staged. Default: the temporary one.",
        default=None,
        group="environment",
        metavar="FOLDER",
        pattern="gs://[^/]+(?:/.*)?",
        param_type="GCS_WRITE_FOLDER",
    )
    num_workers: int | None = option("Workers at the start.", default=None, group="environment", check=_at_least_one)
    max_workers: int | None = option("Workers at most.", default=None, group="environment", check=_at_least_one)
    machine_type: str | None = option(
        "Machine type of workers.",
        default=None,
        group="environment",
        metavar="TYPE",
        pattern="[a-z][a-z0-9]*-[a-z0-9-]+",
        param_type="MACHINE_TYPE",
    )
    disk_size_gb: int | None = option("Disk of a worker in GB.", default=None, group="environment", check=_at_least_one)
    service_account_email: str | None = option(
        "Service account that workers run as. Default: Compute Engine's.",
        default=None,
        group="environment",
        metavar="EMAIL",
        pattern=r"[^@\s]+@[^@\s]+",
        param_type="SERVICE_ACCOUNT",
    )
    network: str | None = option("VPC network of workers.", default=None, group="environment", metavar="NAME")
    subnetwork: str | None = option(
        "Subnetwork of workers.",
        default=None,
        group="environment",
        metavar="NAME",
        pattern="(?:https://.+/)?regions/[^/]+/subnetworks/[^/]+",
    )
    private_ips: bool = option("Workers have no public addresses.", default=False, group="environment")
    kms_key_name: str | None = option(
        "Key that the job's data is encrypted with.",
        default=None,
        group="environment",
        metavar="KEY",
        pattern="projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
        param_type="KMS_KEY_NAME",
    )
    sdk_container_image: str | None = option(
        "Image of workers. Default: the template's own, which was tested with it.",
        default=None,
        group="environment",
        metavar="IMAGE",
    )
    streaming_mode: Literal["exactly_once", "at_least_once"] | None = option(
        "Guarantee of a stream. Default: the template's.", default=None, group="environment"
    )
    labels: tuple[str, ...] = option(
        "Labels of the job, for finding it and its costs.",
        default=(),
        group="environment",
        metavar="NAME=VALUE",
        pattern=_LABEL,
    )
    additional_experiments: tuple[str, ...] = option(
        "Experiments of Dataflow.", default=(), group="environment", metavar="NAME"
    )


@dataclasses.dataclass(frozen=True)
class LaunchOptions(ServiceOptions, EnvironmentOptions):
    """What `launch` takes besides parameters."""

    template: str = option(
        "Container spec of the template, as `template build` made it.",
        group="template",
        metavar="FILE",
        pattern="gs://[^/]+/.+",
        param_type="GCS_READ_FILE",
    )
    job_name: str | None = option(
        "Name of the job. Default: the pipeline's with the time.",
        default=None,
        group="template",
        metavar="NAME",
        pattern=_JOB_NAME,
    )


@dataclasses.dataclass(frozen=True)
class UpdateOptions(ServiceOptions, EnvironmentOptions):
    """What `update` takes besides parameters."""

    template: str = option(
        "Container spec of the new template.",
        group="template",
        metavar="FILE",
        pattern="gs://[^/]+/.+",
        param_type="GCS_READ_FILE",
    )
    job_name: str = option("Name of the running job.", group="template", metavar="NAME", pattern=_JOB_NAME)
    transform_name_mapping: tuple[str, ...] = option(
        "Steps that are called otherwise now.",
        default=(),
        group="template",
        metavar="OLD=NEW",
        pattern="[^=]+=[^=]*",
    )
