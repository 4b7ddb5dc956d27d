"""One policy for remote calls: how long it waits, when it gives up, and when it doesn't ask at all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines import progress
from beam_pipelines.errors import UsageError
from beam_pipelines.retries import CLOSED, HALF_OPEN, OPEN, Breaker, CircuitOpen, Retries, breaker_of, read_remote

_names = iter(range(10**9))


def _endpoint() -> str:
    return f"endpoint {next(_names)}"


class _Remote:
    """Fails so often, then answers."""

    def __init__(self, failures: int, error: Callable[[], Exception] = lambda: ConnectionError("down")) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error()
        return "answer"


def _passing(error: Exception) -> bool:
    return isinstance(error, OSError)


@given(st.integers(1, 12), st.integers(0, 15), st.floats(0, 3), st.floats(0, 9))
def test_waits_grow_to_the_cap_and_attempts_are_bounded(
    attempts: int, failures: int, first: float, longest: float
) -> None:
    remote, waits = _Remote(failures), list[float]()
    policy = Retries(attempts, first, longest, give_up_after=10_000)
    endpoint = _endpoint()
    if failures < attempts:
        assert policy.call(remote, endpoint, _passing, waits.append) == "answer"
    else:
        with pytest.raises(ConnectionError, match="down"):
            policy.call(remote, endpoint, _passing, waits.append)
    assert remote.calls == min(failures + 1, attempts)
    assert len(waits) == min(failures, attempts - 1)
    assert all(0 <= wait <= min(first * 2**number, longest) for number, wait in enumerate(waits))


def test_waits_of_two_workers_differ() -> None:
    waits: list[list[float]] = [[], []]
    for each in waits:
        Retries(5, 1, 60).call(_Remote(4), _endpoint(), _passing, each.append)
    assert waits[0] != waits[1]


def test_what_does_not_pass_by_itself_is_raised_at_once_and_opens_nothing() -> None:
    remote, endpoint = _Remote(100, lambda: ValueError("no such table")), _endpoint()
    for _ in range(30):
        with pytest.raises(ValueError, match="no such table"):
            Retries().call(remote, endpoint, _passing, lambda _: None)
    assert remote.calls == 30
    assert breaker_of(endpoint).state == CLOSED


def test_it_gives_up_in_time() -> None:
    remote = _Remote(10**6)
    with pytest.raises(ConnectionError):
        Retries(10**6, first_wait=0.01, longest_wait=0.02, give_up_after=0.1).call(remote, _endpoint(), _passing)
    assert 2 <= remote.calls < 100


def test_an_endpoint_that_is_down_is_left_alone_and_asked_once_when_its_rest_is_over() -> None:
    now = [0.0]
    breaker = Breaker("db", failures=3, rest=10, clock=lambda: now[0])
    for _ in range(3):
        assert breaker.state == CLOSED
        breaker.leave(breaker.enter(), OSError("refused"))
    assert breaker.state == OPEN
    now[0] = 9.9
    with pytest.raises(CircuitOpen, match=r"db failed 3 times in a row .* refused"):
        breaker.enter()
    now[0] = 10
    trial = breaker.enter()
    assert (trial, breaker.state) == (True, HALF_OPEN)
    with pytest.raises(CircuitOpen):
        breaker.enter()  # only one call finds out
    breaker.leave(trial, OSError("refused"))
    assert breaker.state == OPEN
    now[0] = 20
    breaker.leave(breaker.enter(), None)
    assert breaker.state == CLOSED
    breaker.leave(breaker.enter(), OSError("refused"))
    assert breaker.state == CLOSED  # the count began anew


def test_a_call_waits_for_an_open_circuit_without_asking() -> None:
    endpoint = _endpoint()
    for _ in range(20):
        breaker_of(endpoint).leave(False, OSError("refused"))
    remote = _Remote(0)
    with pytest.raises(CircuitOpen):
        Retries(attempts=4).call(remote, endpoint, _passing, lambda _: None)
    assert remote.calls == 0


def test_a_slow_call_holds_up_no_other() -> None:
    endpoint, slow, entered = _endpoint(), threading.Event(), threading.Event()

    def wait() -> bool:
        entered.set()
        return slow.wait(20)

    thread = threading.Thread(target=lambda: Retries().call(wait, endpoint, _passing))
    thread.start()
    assert entered.wait(20)
    assert Retries().call(_Remote(0), endpoint, _passing) == "answer"
    slow.set()
    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_wait": -1}, {"longest_wait": float("nan")}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Retries(**wrong)  # type: ignore[arg-type]


def test_the_state_of_each_circuit_and_its_retries_are_numbers_of_the_process() -> None:
    endpoint, clock = _endpoint(), iter([0.0, 20.0, 20.0])
    breaker = Breaker(endpoint, failures=1, clock=clock.__next__)

    def told() -> float:
        return progress.gauges()[progress.Series(progress.CIRCUIT, (("endpoint", endpoint),))].value

    assert told() == CLOSED
    breaker.leave(breaker.enter(), OSError("down"))
    assert told() == OPEN
    trial = breaker.enter()
    assert told() == HALF_OPEN
    breaker.leave(trial, None)
    assert told() == CLOSED
    Retries(first_wait=0).call(_Remote(3), endpoint, _passing)
    assert progress.counts()[progress.Series(progress.RETRIED, (("endpoint", endpoint),))] == 3


def test_files_of_elsewhere_are_read_by_the_policy_and_local_ones_at_once() -> None:
    assert read_remote("gs://bucket/model.onnx", _Remote(1)) == "answer"
    gone = _Remote(9, lambda: FileNotFoundError("gs://bucket/model.onnx"))
    with pytest.raises(FileNotFoundError):
        read_remote("gs://bucket/model.onnx", gone)
    assert gone.calls == 1
    local = _Remote(9)
    with pytest.raises(ConnectionError):
        read_remote("/models/model.onnx", local)
    assert local.calls == 1
