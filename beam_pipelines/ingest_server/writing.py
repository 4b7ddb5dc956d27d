"""Requests on their way to the log: those that wait are written together, by one thread and one producer."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from beam_pipelines.sink.deliver import Delivery
from beam_pipelines.sink.records import Records

GROUP_BYTES = 16 << 20
"""Requests are written together up to so many bytes: all of them wait for the last one."""

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    records: Records
    answer: Future[dict[int, str]]
    done: Callable[[], None]


class LogWriter:
    """Writes what requests hold, and says of each what became of its rows.

    The log's client isn't for several threads, and its `settle` is for all that it was given: while one group of
    requests is being kept, the next one gathers. A group that fails, fails for each of its requests; the client is
    made anew, so that nothing of it is under way any more.
    """

    def __init__(self, open: Callable[[], Delivery]) -> None:
        self._open = open
        self._delivery: Delivery | None = open()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ingest-server-log", daemon=True)
        self._thread.start()

    def write(self, records: Records, done: Callable[[], None]) -> Future[dict[int, str]]:
        """Write a request's records: the result, once the log has them, is which rows it will never take, and why.

        An error says that it isn't known whether they are kept. `done` is called when nothing is held of them.
        """
        answer: Future[dict[int, str]] = Future()
        self._queue.put(_Waiting(records, answer, done))
        return answer

    def close(self) -> None:
        """Write what waits, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            group, ended = self._next_group()
            # Who has stopped waiting was told so; what wasn't begun needn't be written.
            self._write([each for each in group if each.answer.set_running_or_notify_cancel()])
            for each in group:
                each.done()
        if self._delivery is not None:
            self._delivery.close()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        size = 0
        while size < GROUP_BYTES:
            try:
                found = self._queue.get(block=not group)
            except queue.Empty:
                break
            if found is None:
                return group, True
            group.append(found)
            size += found.records.values.nbytes
        return group, False

    def _write(self, group: list[_Waiting]) -> None:
        if not group:
            return
        try:
            if self._delivery is None:
                self._delivery = self._open()
            for each in group:
                self._delivery.send(each.records)
            refused = self._delivery.settle()
        except Exception as error:  # whatever it is, these requests are answered and the next ones are tried
            _log.warning("%d requests could not be written: %s", len(group), error)
            if self._delivery is not None:
                self._delivery.close()
                self._delivery = None
            for each in group:
                each.answer.set_exception(error)
            return
        by_request: list[dict[int, str]] = [{} for _ in group]
        for (number, row), reason in refused.items():
            by_request[number][row] = reason
        for each, own in zip(group, by_request, strict=True):
            each.answer.set_result(own)
