"""Accepted means kept: servers are killed and stopped while clients write to them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beam_pipelines.sink.records import ID_HEADER
from tests.ingest_server.client import Server, serving
from tests.servers.kafka import Kafka

_CLIENTS = 6
_ACCEPTED = 120  # requests before the signal comes


class _Clients:
    """Write until the server is gone; keep what was accepted, and what was answered otherwise."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.accepted: dict[str, int] = {}
        self.other: list[object] = []
        self.cut_off = 0
        self.enough = threading.Event()

    def write(self) -> None:
        requests = 0
        while True:
            numbers = [next(self._numbers) for _ in range(3)]
            body = json.dumps([{"n": number} for number in numbers]).encode()
            try:
                answer = self._server.post(body)
            except ConnectionRefusedError:
                return
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.cut_off += 1
                return
            with self._lock:
                if answer.status == 202:
                    self.accepted |= dict(zip(answer.body["ids"], numbers, strict=True))
                else:
                    self.other.append(answer)
            requests += 1
            if requests >= _ACCEPTED // _CLIENTS or self.other:
                self.enough.set()


def _written(broker: Kafka, topic: str) -> list[tuple[str, int]]:
    return [
        (dict(message.headers())[ID_HEADER].decode(), json.loads(message.value())["n"])
        for message in broker.read(topic)
    ]


def test_all_that_was_accepted_is_in_the_topic_whether_the_server_is_killed_or_stopped(
    broker: Kafka, tmp_path: Path
) -> None:
    topics = {signal.SIGKILL: broker.topic(partitions=3), signal.SIGTERM: broker.topic(partitions=3)}
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2 * _CLIENTS) as threads:
        found: dict[signal.Signals, _Clients] = {}
        with ThreadPoolExecutor(2) as starting:  # each takes seconds to load

            def start(number: signal.Signals) -> Server:
                (folder := tmp_path / number.name).mkdir()
                return stack.enter_context(serving(folder, "--to", broker.uri(topics[number])))

            servers = dict(zip(topics, starting.map(start, topics), strict=True))
        for number, server in servers.items():
            clients = found[number] = _Clients(server)
            writing = [threads.submit(clients.write) for _ in range(_CLIENTS)]
            assert clients.enough.wait(60)
            code = server.end(number)
            for each in writing:
                each.result()
            assert code == (0 if number == signal.SIGTERM else -number)
    for number, clients in found.items():
        assert clients.other == []
        assert len(clients.accepted) >= 60
        written = _written(broker, topics[number])
        assert dict(written).items() >= clients.accepted.items()
    # Who was stopped has answered all that it had begun: what is written was accepted, once.
    stopped = found[signal.SIGTERM]
    assert sorted(_written(broker, topics[signal.SIGTERM])) == sorted(stopped.accepted.items())
    assert (tmp_path / "SIGTERM" / "ingest-server.log").read_text().endswith("all that was accepted is kept\n")
