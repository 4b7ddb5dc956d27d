"""What was staged: the pipeline and its artifacts, read back and checked against their hashes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf.message import DecodeError

from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.dataflow_emulator.storage import ObjectMissingError, StorageEmulator
from beam_pipelines.dataflow_emulator.submission import Submission


def pipeline(storage: StorageEmulator, submission: Submission) -> Any:
    """The submitted Pipeline proto. Raises JobError when it is missing, changed or unreadable."""
    content = _read(storage, submission.pipeline_url, "the pipeline")
    _check(content, submission.pipeline_hash, submission.pipeline_url)
    try:
        return beam_runner_api_pb2.Pipeline.FromString(content)
    except DecodeError as wrong:
        raise JobError(f"{submission.pipeline_url} is not a pipeline: {wrong}") from wrong


def localise(storage: StorageEmulator, pipeline: Any, directory: Path) -> None:
    """Fetch the pipeline's artifacts into `directory` and make its environments refer to these files.

    Raises JobError for one that is missing, has no hash, or has other bytes than its hash says.
    """
    kept: dict[str, Path] = {}
    for environment in pipeline.components.environments.values():
        for artifact in environment.dependencies:
            if artifact.type_urn != common_urns.artifact_types.URL.urn:
                raise JobError(f"an artifact is {artifact.type_urn}; the service can reach gs:// URLs only")
            payload = beam_runner_api_pb2.ArtifactUrlPayload.FromString(artifact.type_payload)
            if not payload.sha256:
                raise JobError(f"the artifact {payload.url} has no sha256 to check it by")
            if payload.url not in kept:
                content = _read(storage, payload.url, "an artifact")
                _check(content, payload.sha256, payload.url)
                # Numbered, since two folders may hold files of the same name.
                kept[payload.url] = directory / f"{len(kept)}-{Path(urlsplit(payload.url).path).name}"
                kept[payload.url].write_bytes(content)
            artifact.type_urn = common_urns.artifact_types.FILE.urn
            artifact.type_payload = beam_runner_api_pb2.ArtifactFilePayload(
                path=str(kept[payload.url]), sha256=payload.sha256
            ).SerializeToString()


def _read(storage: StorageEmulator, url: str, what: str) -> bytes:
    if not url.startswith("gs://"):
        raise JobError(f"{what} is staged at '{url}'; the service can reach gs:// URLs only")
    try:
        return storage.read(url)
    except ObjectMissingError:
        raise JobError(f"{what} was to be staged at {url}, but there is no such object") from None


def _check(content: bytes, wanted: str, url: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise JobError(
            f"{url} is not what was submitted: its SHA-256 is {found}, the job says {wanted}. "
            "Was it overwritten after it was staged?"
        )
