"""Artifacts are fetched and checked before anything of a job runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from beam_pipelines.dataflow_emulator import DataflowEmulator, portable, staging
from beam_pipelines.dataflow_emulator.failures import JobError

_CONTENT = b"a wheel"
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


def pipeline_with(*urls: str, sha256: str = _SHA256) -> Any:
    """A pipeline whose only environment depends on these artifacts."""
    pipeline = beam_runner_api_pb2.Pipeline()
    environment = pipeline.components.environments["python"]
    environment.urn = common_urns.environments.DOCKER.urn
    environment.payload = beam_runner_api_pb2.DockerPayload(container_image="apache/beam_x").SerializeToString()
    for url in urls:
        payload = beam_runner_api_pb2.ArtifactUrlPayload(url=url, sha256=sha256)
        environment.dependencies.add(
            type_urn=common_urns.artifact_types.URL.urn, type_payload=payload.SerializeToString()
        )
    return pipeline


def test_artifacts_become_local_files_with_the_hashes_they_had(recorder: DataflowEmulator, tmp_path: Path) -> None:
    urls = ["gs://dataflow/one/x.whl", "gs://dataflow/two/x.whl", "gs://dataflow/one/x.whl"]
    for url in urls:
        recorder.storage.write(url, _CONTENT)
    pipeline = pipeline_with(*urls)

    staging.localise(recorder.storage, pipeline, tmp_path)

    artifacts = pipeline.components.environments["python"].dependencies
    files = [beam_runner_api_pb2.ArtifactFilePayload.FromString(each.type_payload) for each in artifacts]
    assert {each.type_urn for each in artifacts} == {common_urns.artifact_types.FILE.urn}
    assert [Path(each.path).name for each in files] == ["0-x.whl", "1-x.whl", "0-x.whl"]
    assert {each.sha256 for each in files} == {_SHA256}
    assert all(Path(each.path).read_bytes() == _CONTENT for each in files)


@pytest.mark.parametrize(
    ("url", "sha256", "complaint"),
    [
        ("gs://dataflow/changed.whl", "0" * 64, "changed.whl is not what was submitted: its SHA-256 is "),
        ("gs://dataflow/missing.whl", _SHA256, "staged at gs://dataflow/missing.whl, but there is no such object"),
        ("gs://dataflow/changed.whl", "", "has no sha256 to check it by"),
        ("https://example.com/x.whl", _SHA256, "the service can reach gs:// URLs only"),
    ],
)
def test_an_artifact_that_is_not_as_submitted_fails_the_job(
    recorder: DataflowEmulator, tmp_path: Path, url: str, sha256: str, complaint: str
) -> None:
    recorder.storage.write("gs://dataflow/changed.whl", _CONTENT)

    with pytest.raises(JobError) as refused:
        staging.localise(recorder.storage, pipeline_with(url, sha256=sha256), tmp_path)

    assert complaint in str(refused.value)


def test_a_container_of_another_language_is_refused() -> None:
    with pytest.raises(JobError, match="the image apache/beam_x is not of the Python SDK"):
        portable.check(pipeline_with())


def test_an_environment_that_nothing_uses_is_dropped() -> None:
    pipeline = pipeline_with()

    portable.drop_unused_environments(pipeline)

    assert not pipeline.components.environments


def test_workers_get_the_options_as_on_dataflow_and_prism_as_it_reads_them() -> None:
    submitted = {"options": {"experiments": ["x"], "streaming": True, "job_name": "j"}, "display_data": [{"key": "k"}]}

    given = portable.options(submitted)

    assert dict(given["options"])["job_name"] == "j"
    assert list(given["beam:option:experiments:v1"]) == ["x"]
    assert given["beam:option:streaming:v1"] is True
