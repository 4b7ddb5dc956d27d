"""What Google's launcher does with a flex template's image, done with the image's program on this machine.

The launcher starts the program that the image's variable FLEX_TEMPLATE_PYTHON_PY_FILE names, with the parameters and
the environment as flags, `--template_location` among them; Beam writes the job there instead of submitting it. When
the program has ended well, the job is read from there.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

from beam_pipelines.dataflow_emulator import processes, submission, worker_environment
from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.dataflow_emulator.flex_launch import Launch
from beam_pipelines.dataflow_emulator.jobs import Importance, Job
from beam_pipelines.dataflow_emulator.service import RefusalError
from beam_pipelines.dataflow_emulator.storage import ObjectMissingError, StorageEmulator
from beam_pipelines.dataflow_emulator.submission import Submission

PROGRAM = "FLEX_TEMPLATE_PYTHON_PY_FILE"
_FILES = {
    "FLEX_TEMPLATE_PYTHON_SETUP_FILE": "setup_file",
    "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE": "requirements_file",
    "FLEX_TEMPLATE_PYTHON_EXTRA_PACKAGES": "extra_packages",
}
_OPTIONS = {
    "num_workers": "num_workers",
    "max_workers": "max_num_workers",
    "machine_type": "worker_machine_type",
    "disk_size_gb": "disk_size_gb",
    "worker_region": "worker_region",
    "worker_zone": "worker_zone",
    "zone": "worker_zone",
    "service_account_email": "service_account_email",
    "network": "network",
    "subnetwork": "subnetwork",
    "kms_key_name": "dataflow_kms_key",
    "sdk_container_image": "sdk_container_image",
}
"""Fields of FlexTemplateRuntimeEnvironment → Beam's options."""

_LOOK_SECONDS = 0.1
_LONGEST_SECONDS = 600  # that a program may take to build its pipeline; Google's launcher gives up too


@dataclasses.dataclass(frozen=True)
class Launcher:
    """What launching takes: each image's environment variables, those that a program on this machine needs, the
    Dataflow API, and a directory for logs."""

    images: Mapping[str, Mapping[str, str]]
    variables: Mapping[str, str]
    endpoint: str
    directory: Path


def launch(job: Job, launcher: Launcher, storage: StorageEmulator) -> Submission | None:
    """Start the program of the job's image and return what it submits; None when the job was stopped before.

    JobError when the program fails, or ends without having built a pipeline.
    """
    assert job.launch is not None
    images = launcher.images
    image = images.get(job.launch.spec.image)
    if image is None:
        raise JobError(
            f"the image {job.launch.spec.image} can't be pulled: the emulator runs no images, only the programs of "
            f"those that it was told of ({', '.join(sorted(images)) or 'none'})"
        )
    if not image.get(PROGRAM):
        raise JobError(f"Error occurred in the launcher container: the image has no variable {PROGRAM}")
    staging = (job.launch.environment.staging_location or f"gs://{storage.buckets[0]}/staging").rstrip("/")
    written = f"{staging}/template_launches/{job.id}/job_object"
    place = launcher.directory / job.id
    place.mkdir(parents=True)
    log = place / "console_logs"
    environment = {**worker_environment.variables(Path(sys.executable).parent, place, launcher.variables), **image}
    # Google's launcher doesn't name the service; Beam would ask the real one for the job that an update replaces.
    here = f"--dataflow_endpoint={launcher.endpoint}"
    command = [sys.executable, image[PROGRAM], here, *flags(job, image, written, staging)]
    job.say(Importance.JOB_MESSAGE_BASIC, f"The launcher starts {image[PROGRAM]}; its log is {log}")
    code = _run(job, command, environment, log)
    if code is None:
        return None
    if code != 0:
        raise JobError(
            f"Error occurred in the launcher container: Template launch failed. {image[PROGRAM]} exited with {code}:\n"
            f"{processes.tail(log)}"
        )
    return _submitted(job, storage, written)


def flags(job: Job, image: Mapping[str, str], written: str, staging: str) -> Iterator[str]:
    """The flags that the program gets, in the order that Google's launcher has them."""
    assert job.launch is not None
    given: Launch = job.launch
    for variable, option in _FILES.items():
        if image.get(variable):
            yield f"--{option}={image[variable]}"
    yield "--runner=DataflowRunner"
    yield f"--project={job.submission.project}"
    yield f"--region={job.submission.location}"
    yield f"--job_name={job.submission.name}"
    yield f"--staging_location={staging}"
    yield f"--temp_location={given.environment.temp_location or f'{staging}/temp'}"
    yield f"--template_location={written}"
    yield from _environment_flags(given.environment)
    if given.update:
        yield "--update"
        if given.transform_name_mappings:
            yield f"--transform_name_mapping={json.dumps(given.transform_name_mappings)}"
    for name, value in sorted(given.parameters.items()):
        yield f"--{name}={value}"


def _environment_flags(environment: Any) -> Iterator[str]:
    for field, option in _OPTIONS.items():
        if getattr(environment, field):
            yield f"--{option}={getattr(environment, field)}"
    yield from (f"--experiments={each}" for each in environment.additional_experiments)
    yield from (f"--labels={name}={value}" for name, value in sorted(environment.additional_user_labels.items()))
    if environment.ip_configuration == dataflow.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE:
        yield "--no_use_public_ips"
    if environment.enable_streaming_engine:
        yield "--enable_streaming_engine"
    if environment.streaming_mode == dataflow.StreamingMode.STREAMING_MODE_AT_LEAST_ONCE:
        yield "--dataflow_service_options=streaming_mode_at_least_once"
    yield from environment.additional_pipeline_options


def _run(job: Job, command: list[str], environment: Mapping[str, str], log: Path) -> int | None:
    """The program's exit code; None when the job was stopped, and the program with it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent
        )
    deadline = time.monotonic() + _LONGEST_SECONDS
    try:
        while process.poll() is None:
            if job.stop_as is not None or job.ended:
                return None
            if time.monotonic() > deadline:
                raise JobError(
                    f"Timeout in polling result file: the program has not ended after {_LONGEST_SECONDS} s. It must "
                    "exit after run(), and not wait for the job"
                )
            time.sleep(_LOOK_SECONDS)
    finally:
        processes.stop(process)
    return process.returncode


def _submitted(job: Job, storage: StorageEmulator, written: str) -> Submission:
    try:
        text = storage.read(written).decode("utf-8")
    except ObjectMissingError:
        raise JobError(
            f"Failed to read the job file : {written} with error message: Unable to open template file: the program "
            "ended well but built no pipeline with --template_location"
        ) from None
    try:
        read = json_format.Parse(text, dataflow.Job.pb(dataflow.Job()), ignore_unknown_fields=False)
        return submission.check(read, job.submission.project, job.submission.location)
    except json_format.ParseError as wrong:
        raise JobError(f"Failed to read the job file : {written}: {wrong}") from wrong
    except RefusalError as refused:
        raise JobError(f"Failed to read the job file : {written}: {refused.message}") from refused
