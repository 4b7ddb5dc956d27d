"""What errors of BigQuery mean: which may pass by themselves, and what a person can do about the others.

What a job says of rows may hold their values, so of that only the reason and the column are told.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from beam_pipelines.errors import UsageError

# https://cloud.google.com/bigquery/docs/error-messages
PASSING = frozenset(
    (
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
        "timeout",
    )
)
"""Reasons of answers and of jobs that may pass by themselves."""

_PASSING_CODES = (408, 429, 500, 502, 503, 504)
_WORDS = {
    "accessDenied": "is refused: grant it bigquery.dataEditor on the dataset and bigquery.jobUser on the project",
    "billingNotEnabled": "needs billing, which the project doesn't have",
    "quotaExceeded": "is over a quota of the project: wait, or have it raised "
    "(https://cloud.google.com/bigquery/quotas); a stream's bundles are spared it by ?method=storage_write",
}
COLUMN = re.compile(r"(?:[Ff]ield|[Cc]olumn|array)[: '`]+([\w.]+)")
"""The name of a column in a message about rows."""

_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
_ABOUT_ROWS = ("Error while reading data", "Bad ", "Could not parse", "Invalid value", "out of range", "overflow")


def reason_of(error: BaseException) -> str:
    """The reason that BigQuery gives in an answer, such as `quotaExceeded`; empty if it gives none."""
    for each in getattr(error, "errors", None) or ():
        if isinstance(each, Mapping) and each.get("reason"):
            return str(each["reason"])
    return ""


def may_pass(error: Exception) -> bool:
    """Whether an error may pass by itself: throttling, a service that is away, a cut connection."""
    if isinstance(error, UsageError):
        return False
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code in _PASSING_CODES or reason_of(error) in PASSING
    kind = type(error)
    if kind.__module__.startswith(("requests.", "urllib3.")):
        return kind.__name__ not in ("InvalidURL", "MissingSchema", "InvalidSchema")
    return isinstance(error, (ConnectionError, TimeoutError)) or kind.__name__ in ("RetryError", "TransportError")


def job_may_pass(error: Mapping[str, Any]) -> bool:
    """Whether the error of a job may pass by itself: what a busy service says, and another writer's change.

    >>> job_may_pass({"reason": "invalid", "message": "Bad value"}), job_may_pass({"reason": "backendError"})
    (False, True)
    """
    return error.get("reason") in PASSING or "concurrent update" in str(error.get("message", ""))


@contextlib.contextmanager
def speaking(name: str) -> Iterator[None]:
    """Turn what a person has to mend into UsageErrors, without values of rows; other errors go through."""
    from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound, PreconditionFailed
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (Conflict, NotFound, PreconditionFailed):
        raise
    except GoogleAPICallError as error:
        if may_pass(error):
            raise
        reason = reason_of(error) or ("accessDenied" if error.code in (401, 403) else "")
        raise UsageError(f"{name}: {told(reason, error.message or '')} [{int(error.code or 0)}]") from None
    except TransportError:
        raise
    except GoogleAuthError as error:
        raise UsageError(
            f"{name}: there are no credentials that Google takes: {str(error).splitlines()[0]} Say "
            "`gcloud auth application-default login`, or ?credentials=file:PATH"
        ) from None


def told(reason: str, message: str) -> str:
    """A reason and a message in our words."""
    message = _REQUEST.sub("", message)
    if reason in _WORDS:
        return f"what was asked {_WORDS[reason]}"
    if any(word in message for word in _ABOUT_ROWS):
        column = COLUMN.search(message.partition("error message")[2] or message)
        where = f" (column '{column[1]}')" if column else ""
        return f"a row doesn't fit the table{where}: what it holds isn't shown here; the job's page tells it"
    return message.strip().splitlines()[0][:500] if message.strip() else reason


def job_error(name: str, job: Any) -> UsageError:
    """The error of a job that failed for good."""
    error = job.error_result or {}
    words = told(str(error.get("reason", "")), str(error.get("message", "")))
    return UsageError(f"{name}: job {job.job_id} failed: {words}. Nothing was written")
