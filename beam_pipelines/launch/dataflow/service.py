"""The Dataflow service by Google's own clients; what it refuses is told in our words."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import exceptions as auth
from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.launch.dataflow.settings import ServiceOptions

State = dataflow.JobState
ENDED = frozenset(
    {
        State.JOB_STATE_DONE,
        State.JOB_STATE_FAILED,
        State.JOB_STATE_CANCELLED,
        State.JOB_STATE_UPDATED,
        State.JOB_STATE_DRAINED,
    }
)
_ID = re.compile(r"\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d-\d+")


class Service:
    """One project and region of Dataflow. All methods raise UsageError for what is refused."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self._place = {"project_id": options.project, "location": options.region}
        endpoint = (options.dataflow_endpoint or "").rstrip("/")
        self.is_googles = not endpoint or endpoint.endswith(".googleapis.com")
        self._how: dict[str, Any] = {"transport": "rest"}
        if endpoint:
            self._how["client_options"] = ClientOptions(api_endpoint=endpoint)

    def launch(self, parameter: Any) -> Any:
        """Launch a template; the job that it makes."""
        request = launch_request(self.options, parameter)
        with _told("launch"):
            return dataflow.FlexTemplatesServiceClient(**self._how).launch_flex_template(request).job

    def job(self, id: str, *, whole: bool = False) -> Any:
        """A job by its id; the whole one has the environment it was submitted with."""
        view = dataflow.JobView.JOB_VIEW_ALL if whole else dataflow.JobView.JOB_VIEW_SUMMARY
        with _told("job", f"there is no job '{id}' in project {self.options.project}, region {self.options.region}"):
            return self._jobs().get_job(dataflow.GetJobRequest(**self._place, job_id=id, view=view))

    def find(self, name_or_id: str) -> Any:
        """A job by its id, or the newest of a name."""
        if _ID.fullmatch(name_or_id):
            return self.job(name_or_id)
        named = [job for job in self.listed() if job.name == name_or_id]
        if not named:
            names = {job.name for job in self.listed()}
            raise UsageError(
                f"there is no job named '{name_or_id}' in project {self.options.project}, region "
                f"{self.options.region}.{did_you_mean(name_or_id, names)}"
            )
        return max(named, key=lambda job: job.create_time)

    def running(self, name: str) -> Any:
        """The job of this name that runs now. Beam's own look for it would go on for ever when there is none."""
        active = [job for job in self.listed() if job.current_state not in ENDED]
        for job in active:
            if job.name == name:
                return job
        streams = [job.name for job in active if job.type_ == dataflow.JobType.JOB_TYPE_STREAMING]
        raise UsageError(
            f"--job_name: no job named '{name}' runs in project {self.options.project}, region "
            f"{self.options.region}.{did_you_mean(name, streams)}"
        )

    def check_free(self, name: str) -> None:
        """UsageError when a job of this name runs: the service would refuse a second one, after its launcher ran."""
        for job in self.listed():
            if job.name == name and job.current_state not in ENDED:
                raise UsageError(
                    f"--job_name: a job named '{name}' runs already ({job.id}): name another, or use "
                    "`beam-pipelines update` to replace it"
                )

    def listed(self) -> list[Any]:
        """All jobs of the region."""
        with _told("job"):
            return list(self._jobs().list_jobs(dataflow.ListJobsRequest(**self._place)))

    def messages(self, id: str, importance: Any, since: Any = None) -> list[Any]:
        """A job's messages, in the order of their times."""
        client = dataflow.MessagesV1Beta3Client(**self._how)
        request = dataflow.ListJobMessagesRequest(
            **self._place, job_id=id, minimum_importance=importance, start_time=since
        )
        with _told("job"):
            return sorted(client.list_job_messages(request), key=lambda message: message.time)

    def ask_for(self, id: str, state: Any) -> None:
        """Ask that a job be cancelled or drained."""
        request = dataflow.UpdateJobRequest(**self._place, job_id=id, job=dataflow.Job(requested_state=state))
        with _told("job"):
            self._jobs().update_job(request)

    def _jobs(self) -> Any:
        return dataflow.JobsV1Beta3Client(**self._how)


def launch_request(options: ServiceOptions, parameter: Any) -> Any:
    """The request of a launch."""
    return dataflow.LaunchFlexTemplateRequest(
        project_id=options.project, location=options.region, launch_parameter=parameter
    )


def state_name(state: Any) -> str:
    """A state as people call it.

    >>> state_name(State.JOB_STATE_RUNNING)
    'RUNNING'
    """
    return str(State(state).name).removeprefix("JOB_STATE_")


@contextlib.contextmanager
def _told(what: str, missing: str = "") -> Iterator[None]:
    """Turn the client's errors into ours."""
    try:
        yield
    except exceptions.NotFound as error:
        raise UsageError(missing or f"the service doesn't find it: {error.message}") from error
    except exceptions.Conflict as error:
        raise UsageError(f"--job_name: {error.message}") from error
    except exceptions.BadRequest as error:
        raise UsageError(f"the service refused the {what}: {error.message}") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise UsageError(
            f"the service refused the {what}: {error.message}. The account needs roles/dataflow.developer in the "
            "project, and roles/iam.serviceAccountUser on the workers' service account"
        ) from error
    except auth.GoogleAuthError as error:
        raise UsageError(
            f"there are no credentials of Google that work ({error}): `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    except (exceptions.GoogleAPICallError, exceptions.RetryError, OSError) as error:
        raise UsageError(f"--dataflow_endpoint: the service can't be asked: {error}") from error
