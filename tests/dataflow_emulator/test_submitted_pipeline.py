"""What Dataflow would receive of a Pub/Sub pipeline, compared with what it received when this was written.

BEAM_PIPELINES_UPDATE_SNAPSHOTS=1 writes the file anew; look at the difference before you commit it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from beam_pipelines.dataflow_emulator import DataflowEmulator, portable, staging
from beam_pipelines.dataflow_emulator.failures import JobError
from beam_pipelines.dataflow_emulator.jobs import Job, State
from beam_pipelines.dataflow_emulator.outline import outline
from tests.dataflow_emulator.conftest import submit

_SNAPSHOT = Path(__file__).parent / "snapshots" / "pubsub.json"


@pytest.fixture(scope="module")
def pubsub(recorder: DataflowEmulator) -> Job:
    """A pipeline from Pub/Sub to Pub/Sub as it was received."""
    flags = ["--streaming", "--experiments=an_experiment", "--labels=team=events", "--max_num_workers=3"]
    job = recorder.job(submit(recorder, "pubsub", *flags).told()["job"])
    assert job.wait_for(State.JOB_STATE_RUNNING, 10)
    return job


def test_a_pubsub_pipeline_is_received_as_before(pubsub: Job) -> None:
    received = _without_python_version(outline(pubsub))
    if os.environ.get("BEAM_PIPELINES_UPDATE_SNAPSHOTS"):
        _SNAPSHOT.write_text(json.dumps(received, indent=2) + "\n")

    assert received == json.loads(_SNAPSHOT.read_text())


def test_pubsub_steps_are_primitives_of_dataflow(pubsub: Job) -> None:
    received = outline(pubsub)

    assert received["transforms"]["Read/Read"] == "beam:transform:pubsub_read:v1"
    assert received["transforms"]["Write/ParDo(_PubSubWriteDoFn)"] == "beam:transform:pubsub_write:v1"
    assert "Read/Read" in received["unbounded"]


def test_our_own_source_and_sink_are_these_primitives_when_asked_to_go_through_the_runner(
    recorder: DataflowEmulator,
) -> None:
    job = recorder.job(submit(recorder, "pubsub_batches", "--streaming").told()["job"])
    transforms = outline(job)["transforms"]
    found = {urn: name for name, urn in transforms.items() if urn.startswith("beam:transform:pubsub")}

    assert found == {
        "beam:transform:pubsub_read:v1": "Read/Subscription/Messages/Read",
        "beam:transform:pubsub_write:v1": "Write/Deliver/Publish/ParDo(_PubSubWriteDoFn)",
    }


def test_a_pubsub_pipeline_can_not_be_run_here_and_that_is_said(pubsub: Job) -> None:
    with pytest.raises(JobError, match=r"Google's service runs these steps itself.*Read/Read \(beam:transform:pubsub"):
        portable.check(pubsub.pipeline)


def test_the_hash_of_the_job_is_that_of_the_staged_pipeline(recorder: DataflowEmulator, pubsub: Job) -> None:
    staged = recorder.storage.read(pubsub.submission.pipeline_url)

    assert hashlib.sha256(staged).hexdigest() == pubsub.submission.pipeline_hash
    assert staging.pipeline(recorder.storage, pubsub.submission) == pubsub.pipeline


def test_the_submitters_options_reach_workers_with_the_job(pubsub: Job) -> None:
    options: dict[str, Any] = pubsub.submission.options["options"]

    assert options["streaming"] is True
    assert "an_experiment" in options["experiments"]
    assert pubsub.submission.job.labels == {"team": "events"}


def _without_python_version(received: dict[str, Any]) -> Any:
    version = ".".join(platform.python_version_tuple()[:2])
    text = json.dumps(received).replace(f"python{version}_sdk", "python_sdk")
    return json.loads(text.replace(f"Python {version} SDK", "Python SDK"))
