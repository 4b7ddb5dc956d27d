"""The one policy by which remote calls are tried again, and the breaker that stops asking what is down.

Waits grow exponentially up to a cap and are random below it ("full jitter": Brooker, "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015), so that workers that failed together don't come back together. The breaker (Nygard,
"Release It!", 2007) belongs to an endpoint and is shared by the threads of a process.

>>> policy = Retries(attempts=3, first_wait=0.001)
>>> answers = iter([ConnectionError("down"), "up"])
>>> def ask() -> str:
...     answer = next(answers)
...     if isinstance(answer, Exception):
...         raise answer
...     return answer
>>> policy.call(ask, "the shop's service", passing=lambda error: isinstance(error, OSError))
'up'
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity
from apache_beam.metrics import Metrics

from beam_pipelines import progress
from beam_pipelines.errors import UsageError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

METRICS = "retries"
"""Namespace of the counters `retried:ENDPOINT` and of the gauge `circuit:ENDPOINT` (CLOSED, HALF_OPEN or OPEN)."""

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
"""States of a circuit: calls go through; one call finds out whether they may again; calls are refused at once."""


class CircuitOpen(ConnectionError):  # noqa: N818  what happened: the state has this name
    """An endpoint failed so often that it isn't asked for the moment; its last error is in the message."""


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often and how long a call is tried; times are in seconds.

    A call is tried at most `attempts` times and not again after `give_up_after`. Waits are random, up to
    `first_wait`, then up to twice that, and so on to `longest_wait`.
    """

    attempts: int = 20
    first_wait: float = 0.1
    longest_wait: float = 10.0
    give_up_after: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise UsageError(f"attempts: {self.attempts} is not allowed: at least 1")
        for name in ("first_wait", "longest_wait", "give_up_after"):
            if not 0 <= getattr(self, name) < 10**6:
                raise UsageError(f"{name}: {getattr(self, name)} is not a number of seconds from 0 on")

    def call(
        self,
        operation: Callable[[], _T],
        endpoint: str,
        passing: Callable[[Exception], bool],
        sleep: Callable[[float], None] = time.sleep,
    ) -> _T:
        """Call until it succeeds, and return what it returns; the last error is raised when it doesn't.

        `passing` tells errors that may pass by themselves from those that won't, which are raised at once and say
        nothing against the endpoint. `endpoint` names it in logs and metrics, and its breaker: without secrets.
        While the breaker is open, an attempt fails with CircuitOpen without a call.
        """
        breaker = breaker_of(endpoint)

        def attempt() -> _T:
            with_it = breaker.enter()
            try:
                result = operation()
            except Exception as error:
                breaker.leave(with_it, error if passing(error) else None)
                raise
            breaker.leave(with_it, None)
            return result

        def retried(state: tenacity.RetryCallState) -> None:
            Metrics.counter(METRICS, f"retried:{endpoint}").inc()
            progress.count(progress.RETRIED, 1, endpoint=endpoint)
            error = state.outcome and state.outcome.exception()
            _log.info("%s: attempt %d failed, trying again: %s", endpoint, state.attempt_number, error)

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, CircuitOpen) or (isinstance(error, Exception) and passing(error))
            ),
            wait=tenacity.wait_random_exponential(self.first_wait, self.longest_wait),
            stop=tenacity.stop_after_attempt(self.attempts) | tenacity.stop_before_delay(self.give_up_after),
            before_sleep=retried,
            sleep=sleep,
            reraise=True,
        )(attempt)


def read_remote(place: str, read: Callable[[], _T]) -> _T:
    """Read a file of Beam's file systems: by the policy where it lies elsewhere, at once where it is local.

    What is not there, or not ours to read, is raised at once.

    >>> read_remote("/etc/hosts", lambda: "content")
    'content'
    """
    scheme, _, rest = place.partition("://")
    if not rest or scheme == "file":
        return read()
    return Retries(attempts=5, give_up_after=30).call(read, f"{scheme}://{rest.partition('/')[0]}", _may_pass)


def _may_pass(error: Exception) -> bool:
    """Whether another try may go better; clients of object stores raise errors of their own."""
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return False
    code = getattr(error, "code", None) or getattr(error, "status_code", None)
    if isinstance(code, int):
        return code == _TOO_MANY_REQUESTS or code >= _SERVER_ERRORS
    return isinstance(error, OSError)


_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, 500  # of HTTP


class Breaker:
    """Counts an endpoint's failures in a row, over all threads; after `failures` it is open for `rest` seconds.

    Then one call goes through: it closes the circuit or leaves it open for as long again.

    >>> clock = iter(range(0, 1000, 10)).__next__
    >>> breaker = Breaker("db", failures=1, rest=15, clock=clock)
    >>> breaker.leave(breaker.enter(), OSError("refused"))
    >>> breaker.state == OPEN
    True
    >>> breaker.enter()
    Traceback (most recent call last):
    beam_pipelines.retries.CircuitOpen: db failed 1 times in a row and is left alone for 5 s more: refused
    """

    # pybreaker holds a lock during each call, so that one slow call would hold up every thread.

    def __init__(
        self, endpoint: str, failures: int = 20, rest: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint, self._failures, self._rest, self._clock = endpoint, failures, rest, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._last: Exception | None = None
        self._until: float | None = None
        self._trial = False
        progress.gauge(progress.CIRCUIT, CLOSED, endpoint=endpoint)

    @property
    def state(self) -> int:
        """CLOSED, HALF_OPEN or OPEN."""
        if self._until is None:
            return CLOSED
        return HALF_OPEN if self._trial else OPEN

    def enter(self) -> bool:
        """Ask whether a call may be made; whether it is the one on trial is to be given to `leave`."""
        with self._lock:
            if self._until is None:
                return False
            left = self._until - self._clock()
            if left > 0 or self._trial:
                raise CircuitOpen(
                    f"{self._endpoint} failed {self._failed} times in a row and is left alone for "
                    f"{max(0, left):.0f} s more: {self._last}"
                ) from self._last
            self._trial = True
        self._publish()
        return True

    def leave(self, trial: bool, error: Exception | None) -> None:
        """Say how a call ended: well, or with an error of the endpoint's."""
        with self._lock:
            before = self.state
            if error is None:
                self._failed, self._last, self._until = 0, None, None
            else:
                self._failed, self._last = self._failed + 1, error
                if trial or self._failed >= self._failures:
                    self._until = self._clock() + self._rest
            if trial:
                self._trial = False
            changed = before != self.state
        if changed:
            _log.warning("%s: the circuit is %s", self._endpoint, ("closed", "half open", "open")[self.state])
            self._publish()

    def _publish(self) -> None:
        Metrics.gauge(METRICS, f"circuit:{self._endpoint}").set(self.state)
        progress.gauge(progress.CIRCUIT, self.state, endpoint=self._endpoint)


_breakers: dict[str, Breaker] = {}
_lock = threading.Lock()


def breaker_of(endpoint: str) -> Breaker:
    """Return the breaker of an endpoint, of which this process has one."""
    with _lock:
        return _breakers.setdefault(endpoint, Breaker(endpoint))
