"""Jobs that run once: their id says what they do, and BigQuery takes an id once.

A job is all or nothing, and BigQuery remembers it for six months. So whoever wants something done under a name asks
whether the job of that name has done it, and begins it otherwise; who is second is refused, and waits for the first.
A job that failed has its id too: the next one of the name has the next number.

>>> job_id("run-1-rows", "shop.sales.orders", 0) == job_id("run-1-rows", "shop.sales.orders", 0)
True
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from beam_pipelines.bigquery import failures
from beam_pipelines.bigquery.place import SECONDS, Place
from beam_pipelines.errors import UsageError

if TYPE_CHECKING:
    from google.cloud import bigquery

MAX_ATTEMPTS = 100
"""Jobs of one name, of which all but the last failed."""

MAX_PASSED = 5
"""Jobs that are begun anew in one attempt, after others that failed by what may pass by itself."""

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0  # seconds between two looks at a job
_PASSING_WAIT = 1.0  # seconds after a job that failed by what may pass by itself, and twice that after the next


def job_id(name: str, target: str, number: int) -> str:
    """The id of a job of a name on a table; `number`: how many before it failed."""
    told = hashlib.sha256(f"{target}\n{name}".encode()).hexdigest()
    return f"beam_pipelines_{told[:40]}_{number}"


class Once:
    """What is done once under a name."""

    def __init__(self, place: Place, client: bigquery.Client, name: str, location: str | None) -> None:
        self._place = place
        self._client = client
        self._name = name
        self._location = location
        self._failed = 0

    def done(self) -> Any | None:
        """The job that has done it, waited for if it is under way; None if it is to be done."""
        while self._failed < MAX_ATTEMPTS:
            name = job_id(self._name, self._place.path, self._failed)
            if self._get(name) is None:
                return None
            job = self._wait(name)
            if job.error_result is None:
                return job
            self._failed += 1
        return None

    def do(self, begin: Callable[[str], Any]) -> tuple[Any, bool]:
        """Have it done by `begin`, which is given an id, when `done` has found nothing.

        Returns the job, and whether another attempt has begun it.
        `begin` is called again if the job fails by what may pass by itself. UsageError if it fails for good.
        """
        from google.api_core.exceptions import Conflict

        passed = 0
        while True:
            if self._failed >= MAX_ATTEMPTS:
                raise UsageError(f"{self._place.name}: {self._failed} jobs of '{self._name}' failed: take another name")
            name = job_id(self._name, self._place.path, self._failed)
            is_first = True

            def once(name: str = name) -> bool:
                nonlocal is_first
                try:
                    begin(name)
                except Conflict:
                    # Of this attempt, whose answer was lost, or of another.
                    return is_first
                finally:
                    is_first = False
                return False

            is_others = self._place.call(once)
            job = self._wait(name)
            if job.error_result is None:
                return job, is_others
            self._failed += 1
            passing = failures.job_may_pass(job.error_result)
            if not passing and not is_others:
                raise failures.job_error(self._place.name, job)
            if passing:
                passed += 1
                if passed > MAX_PASSED:
                    raise failures.job_error(self._place.name, job)
                time.sleep(_PASSING_WAIT * 2 ** (passed - 1))

    def _get(self, name: str) -> Any | None:
        from google.api_core.exceptions import NotFound

        def get() -> Any | None:
            try:
                return self._client.get_job(name, location=self._location, retry=None, timeout=SECONDS)
            except NotFound:
                return None

        return self._place.call(get)

    def _wait(self, name: str) -> Any:
        wait = _FIRST_WAIT
        while True:
            job = self._get(name)
            if job is None:
                raise UsageError(f"{self._place.name}: job {name} was begun, and BigQuery doesn't know it any more")
            if job.state == "DONE":
                return job
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
