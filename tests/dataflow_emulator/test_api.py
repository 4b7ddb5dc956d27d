"""The Dataflow API as its clients see it: Google's own client, and bodies that no client would send."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.dataflow_emulator.jobs import State
from tests.dataflow_emulator.conftest import PLACE

_JOBS = "/v1b3/projects/local-project/locations/us-central1/jobs"
Stage = Callable[..., dict[str, Any]]


def call(emulator: DataflowEmulator, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Send JSON (or text as it is) and return the status and the answer."""
    content = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(
        emulator.endpoint + path, data=content, method=method, headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def create(client: Any, body: dict[str, Any]) -> Any:
    return client.create_job(dataflow.CreateJobRequest(**PLACE, job=dataflow.Job.from_json(json.dumps(body))))


def test_googles_client_creates_reads_lists_and_cancels_a_job(
    recorder: DataflowEmulator, jobs_client: Any, stage: Stage
) -> None:
    created = create(jobs_client, stage("by-googles-client"))
    job = {**PLACE, "job_id": created.id}
    recorder.job(created.id).wait_for(State.JOB_STATE_RUNNING, 10)

    assert created.name == "by-googles-client"
    running = jobs_client.get_job(dataflow.GetJobRequest(**job))
    assert running.current_state == State.JOB_STATE_RUNNING
    assert not running.environment.worker_pools
    whole = jobs_client.get_job(dataflow.GetJobRequest(**job, view=dataflow.JobView.JOB_VIEW_ALL))
    assert whole.environment.worker_pools[0].kind == "local"
    active = dataflow.ListJobsRequest.Filter.ACTIVE
    assert created.id in [each.id for each in jobs_client.list_jobs(dataflow.ListJobsRequest(**PLACE, filter=active))]

    wanted = dataflow.Job(requested_state=State.JOB_STATE_CANCELLED)
    jobs_client.update_job(dataflow.UpdateJobRequest(**job, job=wanted))
    assert recorder.job(created.id).wait(10) == State.JOB_STATE_CANCELLED
    listed = jobs_client.list_jobs(dataflow.ListJobsRequest(**PLACE, filter=active))
    assert created.id not in [each.id for each in listed]
    with pytest.raises(exceptions.BadRequest, match="has ended as JOB_STATE_CANCELLED"):
        jobs_client.update_job(dataflow.UpdateJobRequest(**job, job=wanted))


def test_an_unknown_job_is_not_found(recorder: DataflowEmulator, jobs_client: Any) -> None:
    with pytest.raises(exceptions.NotFound, match="there is no job 'nobody' in project 'local-project'"):
        jobs_client.get_job(dataflow.GetJobRequest(**PLACE, job_id="nobody"))
    for path in ("/messages", "/metrics"):
        status, answer = call(recorder, "GET", f"{_JOBS}/nobody{path}")
        assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "Upper"}, "job.name: 'Upper' is not a job name"),
        ({"name": ""}, "job.name: '' is not a job name"),
        ({"type": "JOB_TYPE_UNKNOWN"}, "job.type: must be"),
        ({"type": "JOB_TYPE_OTHER"}, "Invalid enum value JOB_TYPE_OTHER"),
        ({"nme": "x"}, 'no field named "nme"'),
        ({"environment": {"experiment": ["x"]}}, 'no field named "experiment"'),
        ({"environment": {}}, "job.environment.workerPools: there is none"),
        ({"projectId": "other"}, "job.project_id: 'other' is not 'local-project'"),
        ({"location": "europe-west1"}, "job.location: 'europe-west1' is not 'us-central1'"),
        ({"steps": [{"kind": "ParallelDo"}]}, "job.steps: must be empty"),
        ({"options": {"pipelineUrl": "/tmp/pipeline.pb"}}, "pipelineUrl: '/tmp/pipeline.pb' is not gs://BUCKET/OBJECT"),
        ({"options": {"pipelineProtoHash": "abc"}}, "pipelineProtoHash: 'abc' is not a SHA-256 in hex"),
        ({"replaceJobId": "nobody"}, "job.replaceJobId: 'nobody' is not a running streaming job"),
    ],
)
def test_a_job_with_a_wrong_field_is_a_bad_request_that_names_it(
    recorder: DataflowEmulator, stage: Stage, changes: dict[str, Any], complaint: str
) -> None:
    body = stage("wrong", **{name: value for name, value in changes.items() if name != "name"})

    status, answer = call(recorder, "POST", _JOBS, body | {k: v for k, v in changes.items() if k == "name"})

    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert complaint in answer["error"]["message"]
    assert not [job for job in recorder.jobs.all() if job.submission.name == "wrong"]


@pytest.mark.parametrize("body", ["", "{", "[]", '"job"', '{"name": 3}', "\ud7ff"])
def test_a_body_that_is_no_job_is_a_bad_request(recorder: DataflowEmulator, body: str) -> None:
    status, answer = call(recorder, "POST", _JOBS, body)

    assert status == 400
    assert "the body is not a google.dataflow.v1beta3.Job" in answer["error"]["message"]


def test_a_page_in_a_browser_can_not_submit(recorder: DataflowEmulator, stage: Stage) -> None:
    status, answer = call(recorder, "POST", _JOBS, stage("from-a-page"), **{"Content-Type": "text/plain"})
    assert (status, answer["error"]["message"]) == (400, "the body must be application/json, not 'text/plain'")

    status, answer = call(recorder, "GET", _JOBS, Host="rebound.example:80")
    assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_a_body_is_refused_before_it_is_read_when_it_is_too_long(recorder: DataflowEmulator) -> None:
    connection = http.client.HTTPConnection(recorder.endpoint.removeprefix("http://"))
    connection.putrequest("POST", _JOBS)
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()

    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "complaint"),
    [
        ("GET", "/v1b3/projects/p", 404, "there is no GET /v1b3/projects/p"),
        ("PUT", _JOBS, 405, "answers POST, GET, not PUT"),
        ("GET", _JOBS + "?filter=SOME", 400, "filter: there is no Filter 'SOME'. There is: UNKNOWN, ALL"),
    ],
)
def test_what_the_service_lacks_is_said(
    recorder: DataflowEmulator, method: str, path: str, status: int, complaint: str
) -> None:
    found, answer = call(recorder, method, path, {} if method == "PUT" else None)

    assert found == status
    assert complaint in answer["error"]["message"]


def test_a_name_is_taken_while_its_job_runs_and_a_repeated_request_is_the_same_job(
    recorder: DataflowEmulator, jobs_client: Any, stage: Stage
) -> None:
    body = stage("one-of-a-kind")
    first = create(jobs_client, body)

    assert create(jobs_client, body).id == first.id
    with pytest.raises(exceptions.Conflict, match="already an active job named one-of-a-kind"):
        create(jobs_client, stage("one-of-a-kind"))

    recorder.job(first.id).ask_to_stop(State.JOB_STATE_CANCELLED)
    recorder.job(first.id).wait(10)
    assert create(jobs_client, stage("one-of-a-kind")).id != first.id


def test_a_streaming_job_is_replaced_and_its_successor_says_that_state_is_lost(
    recorder: DataflowEmulator, jobs_client: Any, stage: Stage
) -> None:
    old = create(jobs_client, stage("stream", type="JOB_TYPE_STREAMING"))
    new = create(jobs_client, stage("stream", type="JOB_TYPE_STREAMING", replaceJobId=old.id))

    assert recorder.job(old.id).wait(10) == State.JOB_STATE_UPDATED
    assert jobs_client.get_job(dataflow.GetJobRequest(**PLACE, job_id=old.id)).replaced_by_job_id == new.id
    assert f"no state is taken over from {old.id}" in _messages(recorder, new.id, "JOB_MESSAGE_WARNING")[0].message_text


def test_only_a_streaming_job_is_drained(recorder: DataflowEmulator, jobs_client: Any, stage: Stage) -> None:
    stream = create(jobs_client, stage("drained", type="JOB_TYPE_STREAMING"))
    batch = create(jobs_client, stage("not-drained"))
    drain = dataflow.Job(requested_state=State.JOB_STATE_DRAINING)

    jobs_client.update_job(dataflow.UpdateJobRequest(**PLACE, job_id=stream.id, job=drain))

    assert recorder.job(stream.id).wait(10) == State.JOB_STATE_DRAINED
    assert (
        "windows that are open give no output" in _messages(recorder, stream.id, "JOB_MESSAGE_WARNING")[0].message_text
    )
    with pytest.raises(exceptions.BadRequest, match="only streaming jobs can be drained"):
        jobs_client.update_job(dataflow.UpdateJobRequest(**PLACE, job_id=batch.id, job=drain))
    done = dataflow.Job(requested_state=State.JOB_STATE_DONE)
    with pytest.raises(exceptions.BadRequest, match="JOB_STATE_DONE can't be asked for"):
        jobs_client.update_job(dataflow.UpdateJobRequest(**PLACE, job_id=batch.id, job=done))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pipelineProtoHash": "0" * 64}, "pipeline.pb is not what was submitted: its SHA-256 is "),
        ({"pipelineUrl": "gs://dataflow/nothing/pipeline.pb"}, "but there is no such object"),
        ({"pipelineUrl": "gs://no-bucket/pipeline.pb"}, "but there is no such object"),
    ],
)
def test_a_pipeline_that_was_not_staged_as_said_fails_the_job_with_a_message(
    recorder: DataflowEmulator, jobs_client: Any, stage: Stage, options: dict[str, str], complaint: str
) -> None:
    job = create(jobs_client, stage("changed", options=options))

    assert recorder.job(job.id).wait(10) == State.JOB_STATE_FAILED
    assert complaint in _messages(recorder, job.id, "JOB_MESSAGE_ERROR")[0].message_text


def test_a_pipeline_that_can_not_be_read_fails_the_job(
    recorder: DataflowEmulator, jobs_client: Any, stage: Stage
) -> None:
    job = create(jobs_client, stage("unreadable", content=b"\xff\xff no pipeline"))

    assert recorder.job(job.id).wait(10) == State.JOB_STATE_FAILED
    assert "is not a pipeline" in _messages(recorder, job.id, "JOB_MESSAGE_ERROR")[0].message_text


def test_messages_are_chosen_by_importance_and_time(recorder: DataflowEmulator, jobs_client: Any, stage: Stage) -> None:
    id = create(jobs_client, stage("talkative")).id
    for importance in ("JOB_MESSAGE_BASIC", "JOB_MESSAGE_DEBUG", "JOB_MESSAGE_WARNING", "JOB_MESSAGE_DETAILED"):
        recorder.job(id).say(dataflow.JobMessageImportance[importance], importance)

    everything = _messages(recorder, id, "JOB_MESSAGE_DEBUG")
    assert [each.message_text for each in _messages(recorder, id, "JOB_MESSAGE_BASIC")] == [
        "JOB_MESSAGE_BASIC",
        "JOB_MESSAGE_WARNING",
    ]
    later = _messages(recorder, id, "JOB_MESSAGE_DEBUG", start_time=everything[2].time)
    assert [each.id for each in later] == [each.id for each in everything[2:]]


def _messages(emulator: DataflowEmulator, id: str, minimum: str, **more: Any) -> list[Any]:
    client = dataflow.MessagesV1Beta3Client(
        transport="rest",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.endpoint),
    )
    least = dataflow.JobMessageImportance[minimum]
    request = dataflow.ListJobMessagesRequest(**PLACE, job_id=id, minimum_importance=least, **more)
    return list(client.list_job_messages(request))
